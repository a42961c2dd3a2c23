//! Gauges that cannot drift: what was added is taken back when the guard goes.

use prometheus_client::metrics::gauge::Gauge;

use super::Gauges;

/// One of what a gauge counts, for as long as it is held.
#[derive(Debug)]
#[must_use = "dropping it takes the one off the gauge again"]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    pub(super) fn on(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One of what a family of gauges counts by state. It is in one state at a time.
#[derive(Debug)]
#[must_use = "dropping it takes the one off its state again"]
pub struct StateGauge {
    family: Gauges<1>,
    label: &'static str,
    at: &'static str,
    held: GaugeGuard,
}

impl StateGauge {
    pub(super) fn new(family: &Gauges<1>, label: &'static str, at: &'static str) -> Self {
        let held = GaugeGuard::on(&family.get_or_create_owned(&[(label, at)]));
        Self { family: family.clone(), label, at, held }
    }

    /// Moves it to another state.
    pub fn move_to(&mut self, state: &'static str) {
        if state != self.at {
            self.held = GaugeGuard::on(&self.family.get_or_create_owned(&[(self.label, state)]));
            self.at = state;
        }
    }
}
