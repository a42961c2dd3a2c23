//! Runs each sandbox as a browser process of this machine.
