//! Let work in, refuse it once a drain began, wait for what is inside.
