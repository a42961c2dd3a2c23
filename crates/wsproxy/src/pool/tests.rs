//! Facts of the buffers.
