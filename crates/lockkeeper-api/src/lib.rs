//! The wire: REST bodies and error reasons, shared by the server and the command line.
