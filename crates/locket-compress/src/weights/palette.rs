//! Palettes: weights become indices into a table of a few values.
//!
//! Without calibration, the table is that of k-means. With it, tables from k-means (weighted by nothing, and by how much each input
//! varies) are starts: weights are rounded to the table so that the layer's result changes least, then the table is fitted to the
//! result by least squares, in turns.

use locket_tensor::DType;

use super::{
    Encoded, LARGEST_CODE, Matrix, Rounding, as_stored,
    clusters::{centres, nearest},
    scale_as_stored,
    second_order::{Effort, Grid, Rounded, descend, round},
};
use crate::{
    calibrate::Curvatures,
    linalg::{cholesky, dot, solve_factored},
};

/// Turns of rounding and fitting.
const ROUNDS: usize = 3;
/// Rounds of descent in each turn.
const SWEEPS: usize = 3;
/// Pull of a fitted table towards the one before, relative to the mean of the diagonal.
const RIDGE: f64 = 1e-6;
/// Additions that fitting a table may take: with wide layers only some rows are looked at, still far more than the
/// table has entries.
const FIT_WORK: usize = 2_000_000_000;

struct Table<'a>(&'a [f64]);

impl Grid for Table<'_> {
    fn nearest(&self, _row: usize, _column: usize, value: f64) -> u8 {
        nearest(self.0, value) as u8
    }

    fn value(&self, _row: usize, _column: usize, code: u8) -> f64 {
        self.0[usize::from(code)]
    }
}

/// Gives each of `groups` equal groups of rows a table of `2^bits` entries. `groups` divides the rows.
pub(crate) fn palette(weight: &Matrix, bits: u8, groups: usize, rounding: Rounding<'_>) -> Encoded {
    let stored = |table: Vec<f64>| table_as_stored(rounding.dtype, table);
    let rows = weight.rows / groups;
    let mut indices = Vec::with_capacity(weight.values.len());
    let mut tables = Vec::with_capacity(groups << bits);
    for group in 0..groups {
        let start = group * rows * weight.columns;
        let part = Matrix {
            rows,
            columns: weight.columns,
            values: weight.values[start..start + rows * weight.columns].to_vec(),
        };
        let (codes, table) = match rounding.curvatures {
            Some(curvatures) => fitted(&part, bits, &curvatures.at_row(group * rows), rounding),
            None => {
                let table = stored(centres(&part.values, |_| 1.0, 1 << bits));
                let code = |&value: &f32| nearest(&table, f64::from(value)) as u8;
                (part.values.iter().map(code).collect(), table)
            }
        };
        indices.extend(codes);
        tables.extend(table.iter().map(|&value| value as f32));
    }
    Encoded::Palette {
        bits,
        indices,
        tables,
    }
}

/// The same with tables of 8-bit integers and a scale for each group. `least` is the least scale of each row.
pub(crate) fn palette_int8(
    weight: &Matrix,
    bits: u8,
    groups: usize,
    least: Option<&[f32]>,
    rounding: Rounding<'_>,
) -> Encoded {
    let rows = weight.rows / groups;
    let scale: Vec<f32> = (0..groups)
        .map(|group| {
            let of_group = (group * rows..(group + 1) * rows).map(|row| {
                let magnitudes = weight.row(row).iter().map(|value| value.abs());
                let floor = least.map_or(0.0, |least| least[row]);
                magnitudes.fold(floor, |largest, value| largest.max(value / LARGEST_CODE))
            });
            scale_as_stored(rounding.dtype, of_group.fold(0.0, f32::max))
        })
        .collect();
    let elems = rows * weight.columns;
    let steps = weight.values.iter().enumerate();
    let in_steps = Matrix {
        rows: weight.rows,
        columns: weight.columns,
        values: steps
            .map(|(at, value)| value / scale[at / elems.max(1)])
            .collect(),
    };
    let rounding = Rounding {
        dtype: DType::Int8,
        ..rounding
    };
    let Encoded::Palette {
        bits,
        indices,
        tables,
    } = palette(&in_steps, bits, groups, rounding)
    else {
        unreachable!("a palette is made");
    };
    Encoded::PaletteInt8 {
        bits,
        indices,
        tables: tables.into_iter().map(|entry| entry as i8).collect(),
        scale,
    }
}

/// Table entries as they are stored, ascending.
fn table_as_stored(dtype: DType, mut table: Vec<f64>) -> Vec<f64> {
    for value in &mut table {
        *value = f64::from(as_stored(dtype, *value as f32));
    }
    table.sort_by(f64::total_cmp);
    table
}

/// Codes and table with the least change of the result that was found.
fn fitted(weight: &Matrix, bits: u8, curvatures: &Curvatures, rounding: Rounding<'_>) -> (Vec<u8>, Vec<f64>) {
    let effort = Effort {
        sweeps: SWEEPS,
        threads: rounding.threads,
    };
    let variances: Vec<Vec<f64>> = (0..weight.rows)
        .map(|row| {
            let mut variances = vec![0.0; weight.columns];
            for curvature in curvatures.of_row(row) {
                curvature.put(&curvature.variances(), &mut variances);
            }
            variances
        })
        .collect();
    let by_variance = |at: usize| variances[at / weight.columns][at % weight.columns];
    let starts = [
        centres(&weight.values, |_| 1.0, 1 << bits),
        centres(&weight.values, by_variance, 1 << bits),
    ];
    let mut best: Option<(f64, Vec<u8>, Vec<f64>)> = None;
    let mut offer = |rounded: &Rounded, table: &[f64]| {
        let error = rounded.errors.iter().sum::<f64>();
        if best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, rounded.codes.clone(), table.to_vec()));
        }
    };
    for start in starts {
        let mut table = table_as_stored(rounding.dtype, start);
        let mut rounded = round(weight, curvatures, &Table(&table), effort);
        offer(&rounded, &table);
        for _ in 0..ROUNDS {
            let (sorted, renamed) = refit(&rounded.codes, weight, curvatures, &table, rounding.dtype);
            table = sorted;
            rounded = descend(&renamed, weight, curvatures, &Table(&table), effort);
            offer(&rounded, &table);
        }
    }
    let (_, codes, table) = best.expect("there are starts");
    (codes, table)
}

/// The table with the least change of the result for given codes: ascending, and the codes that go with it.
fn refit(
    codes: &[u8],
    weight: &Matrix,
    curvatures: &Curvatures,
    table: &[f64],
    dtype: DType,
) -> (Vec<f64>, Vec<u8>) {
    let entries = table.len();
    let mut matrix = vec![0.0; entries * entries];
    let mut wanted = vec![0.0; entries];
    let mut used = vec![false; entries];
    codes.iter().for_each(|&code| used[usize::from(code)] = true);
    let work: usize = curvatures
        .of_row(0)
        .iter()
        .map(|block| block.size * block.size)
        .sum();
    let affordable = (FIT_WORK / work.max(1)).max(1);
    for row in (0..weight.rows).step_by(weight.rows.div_ceil(affordable).max(1)) {
        let elems = row * weight.columns..(row + 1) * weight.columns;
        for curvature in curvatures.of_row(row) {
            let mine = curvature.pick(&codes[elems.clone()]);
            let values: Vec<f64> = curvature
                .pick(weight.row(row))
                .into_iter()
                .map(f64::from)
                .collect();
            for (line, &code) in curvature.matrix.chunks_exact(curvature.size).zip(&mine) {
                wanted[usize::from(code)] += dot(line, &values);
                let sums = &mut matrix[usize::from(code) * entries..][..entries];
                let others = line.iter().zip(&mine);
                others.for_each(|(value, &other)| sums[usize::from(other)] += value);
            }
        }
    }
    let trace: f64 = (0..entries).map(|at| matrix[at * entries + at]).sum();
    let ridge = (RIDGE * trace / entries as f64).max(f64::MIN_POSITIVE);
    for at in 0..entries {
        matrix[at * entries + at] += ridge;
        wanted[at] += ridge * table[at];
    }
    let mut fitted = wanted;
    if cholesky(&mut matrix, entries).is_ok() {
        solve_factored(&matrix, entries, &mut fitted);
    } else {
        fitted = table.to_vec();
    }
    for (at, value) in fitted.iter_mut().enumerate() {
        if !used[at] || !value.is_finite() {
            *value = table[at];
        }
        *value = f64::from(as_stored(dtype, *value as f32));
    }
    let mut order: Vec<usize> = (0..entries).collect();
    order.sort_by(|&a, &b| fitted[a].total_cmp(&fitted[b]).then(a.cmp(&b)));
    let mut renamed = vec![0u8; entries];
    for (new, &old) in order.iter().enumerate() {
        renamed[old] = new as u8;
    }
    let codes = codes.iter().map(|&code| renamed[usize::from(code)]).collect();
    (order.iter().map(|&at| fitted[at]).collect(), codes)
}
