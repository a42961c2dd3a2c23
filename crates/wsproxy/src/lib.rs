//! Relay two WebSocket streams frame by frame, and say which side ended it and how.
