//! Pure: medians, quantiles and intervals of a few rounds.

/// Student's t for a two-sided 95 % interval, by degrees of freedom; 1.96 beyond the table.
const T95: [f64; 20] = [
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13,
    2.12, 2.11, 2.10, 2.09, 2.09,
];

/// The value in the middle, or the mean of the two there.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A quantile by linear interpolation; NaN of nothing.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

/// The 95 % interval of the mean; nothing for fewer than two values.
pub(crate) fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len() as f64;
    let t = T95.get(values.len().checked_sub(2)?).copied().unwrap_or(1.96);
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = t * (variance / n).sqrt();
    Some([mean - half, mean + half])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn an_interval_is_around_the_mean_and_needs_two_values() {
        assert_eq!(interval(&[1.0]), None);
        let [low, high] = interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((low - (2.0 - 4.30 / 3_f64.sqrt())).abs() < 1e-9, "{low}");
        assert!((low + high - 4.0).abs() < 1e-9, "{low} {high}");
    }
}
