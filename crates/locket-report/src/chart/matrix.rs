//! The three scores of each variant as a triangle: the further a corner reaches, the better that score.

use maud::{Markup, html};

use super::{Caption, Drawing, Size, figure, path, px};
use crate::evidence::{TradeOffMatrix, TradeOffRow};

const RADIUS: f64 = 54.0;
const CELL_HEIGHT: f64 = 168.0;
/// Half of the space between the two labels below: wide enough to tell them apart, narrow enough to stay clear of the next triangle's.
const APART: f64 = 7.0;
/// More triangles than this say less than the table.
const MOST: usize = 24;

/// Directions of the axes: accuracy up, resources to the lower right, privacy to the lower left.
const AXES: [(&str, f64, f64); 3] = [
    ("accuracy", 0.0, -1.0),
    ("resources", 0.866, 0.5),
    ("privacy", -0.866, 0.5),
];

/// The figure; `None` if privacy was not measured.
pub(crate) fn draw(matrix: &TradeOffMatrix) -> Option<Markup> {
    let known: Vec<&TradeOffRow> = matrix
        .rows
        .iter()
        .filter(|row| row.privacy.is_some())
        .take(MOST)
        .collect();
    if known.is_empty() {
        return None;
    }
    let products: Vec<String> = known
        .iter()
        .map(|row| format!("{} {}", row.name, row.product.unwrap_or(0)))
        .collect();
    let caption = Caption {
        id: "matrix",
        title: "Accuracy, resources and privacy by variant",
        description: &format!("Products of the three scores: {}.", products.join(", ")),
        reading: "Each triangle is a variant; the outer triangle is 5 on every axis, the innermost 1. A larger triangle is better. Blue: on \
                  the Pareto front of the raw values. The number is the product of the three scores.",
    };
    Some(figure(&caption, |size| drawing(&known, size)))
}

fn drawing(rows: &[&TradeOffRow], size: Size) -> Drawing {
    let columns = match size {
        Size::Wide => 4,
        Size::Narrow => 2,
    };
    let width = size.width() / columns as f64;
    let body = html! {
        @for (index, row) in rows.iter().enumerate() {
            @let x = (index % columns) as f64 * width + width / 2.0;
            @let y = (index / columns) as f64 * CELL_HEIGHT + RADIUS + 34.0;
            (triangle(row, x, y, width))
        }
    };
    Drawing {
        height: rows.len().div_ceil(columns) as f64 * CELL_HEIGHT,
        body,
    }
}

fn corners(x: f64, y: f64, scores: [u8; 3]) -> Vec<(f64, f64)> {
    let reach = |score: u8| RADIUS * f64::from(score.min(5)) / 5.0;
    AXES.iter()
        .zip(scores)
        .map(|((_, right, down), score)| (x + right * reach(score), y + down * reach(score)))
        .collect()
}

fn triangle(row: &TradeOffRow, x: f64, y: f64, width: f64) -> Markup {
    let scores = [row.accuracy, row.resources, row.privacy.unwrap_or(0)];
    let class = if row.on_front {
        "score front-score"
    } else {
        "score"
    };
    html! {
        g {
            title { (row.name) ": accuracy " (scores[0]) ", resources " (scores[1]) ", privacy " (scores[2]) }
            @for ring in 1..=5 { path.ring-line d=(path(&corners(x, y, [ring; 3]), true)) {} }
            path class=(class) d=(path(&corners(x, y, scores), true)) {}
            text.tick x=(px(x)) y=(px(y - RADIUS - 4.0)) text-anchor="middle" { "accuracy " (scores[0]) }
            text.tick x=(px(x + APART)) y=(px(y + RADIUS * 0.5 + 14.0)) text-anchor="start" { "resources " (scores[1]) }
            text.tick x=(px(x - APART)) y=(px(y + RADIUS * 0.5 + 14.0)) text-anchor="end" { "privacy " (scores[2]) }
            text.label x=(px(x)) y=(px(y - RADIUS - 20.0)) text-anchor="middle" {
                (crate::table::shorten(&row.name, (width / 8.5) as usize)) " · " (row.product.unwrap_or(0))
            }
        }
    }
}
