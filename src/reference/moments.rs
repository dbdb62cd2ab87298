//! Means and variances of sets of numbers.

/// The mean and biased variance of a set of elements, in two passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub len: usize,
    pub mean: f64,
    pub var: f64,
}

impl Moments {
    pub fn of(values: &[f64]) -> Moments {
        let len = values.len();
        let mean = average(values);
        let squares: Vec<f64> = values.iter().map(|x| (x - mean).powi(2)).collect();
        Moments { len, mean, var: average(&squares) }
    }

    /// Around 0 instead of the mean, as RMS norm needs them.
    pub fn around_zero(values: &[f64]) -> Moments {
        let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
        Moments { len: values.len(), mean: 0.0, var: average(&squares) }
    }

    pub fn unbiased(&self) -> f64 {
        self.var * self.len as f64 / (self.len as f64 - 1.0)
    }
}

pub(super) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

pub(super) fn average(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// By halves, so that a million elements cost 20 roundings and not a million.
pub(super) fn sum(values: &[f64]) -> f64 {
    if values.len() <= 8 {
        return values.iter().sum();
    }
    let (left, right) = values.split_at(values.len() / 2);
    sum(left) + sum(right)
}
