//! Ratios of paired rounds.

use crate::load::Round;

/// Student's t for a two-sided 95 % interval, by degrees of freedom; 1.96 beyond the table.
const T95: [f64; 20] = [
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13,
    2.12, 2.11, 2.10, 2.09, 2.09,
];

pub(crate) fn print_head() {
    println!(
        "{:>9} {:>5} | {:>20} {:>20} {:>20} {:>20} | {:>9} {:>9} {:>9} {:>9}",
        "payload",
        "conns",
        "CPU per message",
        "rate",
        "p50",
        "p99",
        "CPU us",
        "copy us",
        "msg/s",
        "copy/s"
    );
}

pub(crate) fn print_case(size: usize, connections: usize, pairs: &[[Round; 2]]) {
    let cpu = |round: &Round| round.cpu.as_secs_f64() * 1e6 / round.messages as f64;
    let rate = |round: &Round| round.messages as f64 / round.elapsed.as_secs_f64();
    let ratios = |of: &dyn Fn(&Round) -> f64| {
        let ratios: Vec<f64> = pairs.iter().map(|[relay, copy]| of(relay) / of(copy)).collect();
        let (mean, half) = interval(&ratios);
        format!("{mean:.3} [{:.3}, {:.3}]", mean - half, mean + half)
    };
    let mean = |of: &dyn Fn(&Round) -> f64, which: usize| {
        pairs.iter().map(|pair| of(&pair[which])).sum::<f64>() / pairs.len() as f64
    };
    println!(
        "{size:>9} {connections:>5} | {:>20} {:>20} {:>20} {:>20} | {:>9.2} {:>9.2} {:>9.0} {:>9.0}",
        ratios(&cpu),
        ratios(&rate),
        ratios(&|round| round.p50.as_secs_f64()),
        ratios(&|round| round.p99.as_secs_f64()),
        mean(&cpu, 0),
        mean(&cpu, 1),
        mean(&rate, 0),
        mean(&rate, 1),
    );
}

/// Mean, and half the width of its 95 % interval.
fn interval(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return (mean, f64::INFINITY);
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = T95.get(values.len() - 2).copied().unwrap_or(1.96);
    (mean, t * (variance / n).sqrt())
}
