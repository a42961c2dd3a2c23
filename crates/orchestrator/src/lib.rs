//! Sandbox lifecycle, drivers, TTL, REST API, node status, drain.
