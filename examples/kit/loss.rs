//! The loss of classes.

use ndarray::ArrayViewMut2;

/// Each row's shares, from its scores.
pub fn softmax(mut scores: ArrayViewMut2<f32>) {
    for mut row in scores.outer_iter_mut() {
        let most = row.fold(f32::NEG_INFINITY, |most, &value| most.max(value));
        row.mapv_inplace(|value| (value - most).exp());
        let total = row.sum();
        row /= total;
    }
}

/// The mean cross-entropy of rows of scores with their classes, in nats; in place of the scores, its gradient by them.
pub fn cross_entropy(mut scores: ArrayViewMut2<f32>, classes: &[usize]) -> f32 {
    softmax(scores.view_mut());
    let mut loss = 0.0;
    for (mut row, &class) in scores.outer_iter_mut().zip(classes) {
        loss -= f64::from(row[class].max(f32::MIN_POSITIVE).ln());
        row[class] -= 1.0;
    }
    scores /= classes.len() as f32;
    (loss / classes.len() as f64) as f32
}
