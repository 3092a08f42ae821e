//! Stored outputs and how far apart two of them are.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use locket_data::{
    NpyArray,
    statistics::scores::{argmax, is_probabilities, softmax},
};

/// Outputs, one row for each sample.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

/// Outputs on the stored input and on the dev set, as far as there are any.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) parity: Option<Rows>,
    pub(super) scores: Option<Rows>,
}

/// How far apart two outputs are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Difference {
    /// The largest difference, as a part of the range of the expected values.
    pub(super) of_range: f64,
    /// Samples with the same top-1: ours has the highest of the expected scores.
    pub(super) same: usize,
    /// Those of them where another class has that score too: the expected scores are stored in few bits.
    pub(super) tied: usize,
    pub(super) rows: usize,
}

/// Reads an array as rows of its first dimension.
pub(super) fn read(path: &Path) -> Result<Rows> {
    let array = NpyArray::read(path)?;
    let columns = array.shape().iter().skip(1).product();
    Ok(Rows {
        columns,
        values: array.to_f32(),
    })
}

/// The samples of an input, each an array with a first dimension of 1.
pub(super) fn samples(path: &Path) -> Result<Vec<NpyArray>> {
    let (dtype, shape, bytes) = NpyArray::read(path)?.into_parts();
    let count = shape.first().copied().unwrap_or(1).max(1);
    let mut single = shape;
    if let Some(first) = single.first_mut() {
        *first = 1;
    }
    let rows = bytes.chunks_exact((bytes.len() / count).max(1));
    rows.map(|row| Ok(NpyArray::new(dtype, single.clone(), row.to_vec())?))
        .collect()
}

/// Compares; `None` if the sizes differ. Rows of one side that are probabilities are compared with a softmax of the other's.
pub(super) fn difference(found: &Rows, expected: &Rows) -> Option<Difference> {
    if found.values.len() != expected.values.len() || found.columns == 0 {
        return None;
    }
    let (mut low, mut high, mut worst) = (f32::INFINITY, f32::NEG_INFINITY, 0f32);
    let (mut same, mut tied) = (0, 0);
    let columns = found.columns;
    let pairs = found
        .values
        .chunks_exact(columns)
        .zip(expected.values.chunks_exact(columns));
    for (found, expected) in pairs {
        let mut soft = found.to_vec();
        if columns > 1 && is_probabilities(expected) && !is_probabilities(found) {
            softmax(found, &mut soft);
        }
        for (&a, &b) in soft.iter().zip(expected) {
            let apart = if a.is_finite() && b.is_finite() {
                (a - b).abs()
            } else {
                f32::INFINITY
            };
            (low, high, worst) = (low.min(b), high.max(b), worst.max(apart));
        }
        let (ours, theirs) = (argmax(&soft), argmax(expected));
        let tie = ours
            .zip(theirs)
            .is_some_and(|(ours, theirs)| ours != theirs && expected[ours] == expected[theirs]);
        same += usize::from(ours == theirs || tie);
        tied += usize::from(tie);
    }
    Some(Difference {
        of_range: f64::from(worst) / f64::from(high - low),
        same,
        tied,
        rows: found.values.len() / columns,
    })
}

/// True if two folders hold the same files with the same bytes.
pub(super) fn same_files(first: &Path, second: &Path) -> Result<bool> {
    let names = |folder: &Path| -> Result<Vec<_>> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .with_context(|| folder.display().to_string())?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let listed = names(first)?;
    if listed != names(second)? {
        return Ok(false);
    }
    for name in listed {
        let (one, two) = (first.join(&name), second.join(&name));
        let same = if one.is_dir() {
            same_files(&one, &two)?
        } else {
            fs::read(&one)? == fs::read(&two)?
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{Rows, difference};

    fn rows(columns: usize, values: &[f32]) -> Rows {
        Rows {
            columns,
            values: values.to_vec(),
        }
    }

    #[test]
    fn differences_are_parts_of_the_range() {
        let expected = rows(2, &[0.0, 10.0, 4.0, 2.0]);
        let found = difference(&rows(2, &[0.1, 10.0, 1.9, 2.0]), &expected).unwrap();
        assert!((found.of_range - 0.21).abs() < 1e-6, "{found:?}");
        assert_eq!((found.same, found.rows), (1, 2));
        assert!(difference(&rows(2, &[0.0, 1.0]), &expected).is_none());
        let broken = difference(&rows(2, &[f32::NAN, 10.0, 4.0, 2.0]), &expected).unwrap();
        assert_eq!(broken.of_range, f64::INFINITY);
    }

    #[test]
    fn any_of_tied_classes_is_the_same_answer() {
        let expected = rows(3, &[0.25, 0.5, 0.5, 0.0, 2.0, 1.0]);
        let found = difference(&rows(3, &[0.25, 0.4, 0.6, 0.0, 1.0, 2.0]), &expected).unwrap();
        assert_eq!((found.same, found.tied, found.rows), (1, 1, 2));
    }

    #[test]
    fn logits_are_compared_with_probabilities_through_a_softmax() {
        let found = difference(&rows(2, &[0.0, 0.0]), &rows(2, &[0.5, 0.5])).unwrap();
        assert!(
            found.same == 1 && found.of_range.is_nan() | (found.of_range == 0.0),
            "{found:?}"
        );
    }
}
