//! How far a result is from the oracle's.

use ndarray::{ArrayD, Zip};

/// The largest error, in absolute terms and as a share of what is allowed at its element.
#[derive(Clone, Copy, Default)]
pub struct Worst {
    pub error: f64,
    pub of_tolerance: f64,
}

impl Worst {
    pub fn of(found: &ArrayD<f32>, expected: &ArrayD<f64>, tolerance: &ArrayD<f64>) -> Worst {
        assert_eq!(found.shape(), expected.shape());
        let mut worst = Worst::default();
        Zip::from(found).and(expected).and(tolerance).for_each(|&found, &expected, &tolerance| {
            let error = (f64::from(found) - expected).abs();
            let share = if error == 0.0 { 0.0 } else { error / tolerance };
            worst = worst.max(Worst { error, of_tolerance: share });
        });
        worst
    }

    /// Larger in each; NaN is larger than any number.
    pub fn max(self, other: Worst) -> Worst {
        let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        Worst { error: larger(self.error, other.error), of_tolerance: larger(self.of_tolerance, other.of_tolerance) }
    }

    pub fn is_allowed(self) -> bool {
        self.of_tolerance <= 1.0
    }
}
