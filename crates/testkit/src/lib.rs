//! Dev-only: scripted peers, faults, a fake driver, leak checks.
