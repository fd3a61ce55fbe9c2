"""The server of one rig: control and telemetry over ZMQ, sessions in processes of their own."""
