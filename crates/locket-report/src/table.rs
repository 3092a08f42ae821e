//! Plain-text tables for the terminal: aligned columns, an optional header with a rule, optional colour.
//!
//! Widths are counted in terminal columns (combining marks take none, CJK and emoji two). Text may come from a model
//! file, so control and direction-changing characters are replaced before they can reach a terminal.
//!
//! ```
//! use locket_report::table::{Cell, Column, Table, Tone};
//!
//! let mut table = Table::new([Column::left("limit"), Column::right("reached"), Column::left("")]);
//! table.row(["memory".into(), "6.9 MB".into(), Cell::new("met", Tone::Good)]);
//! assert_eq!(table.render(false).lines().last(), Some("memory   6.9 MB  met"));
//! ```

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Flush left, for words.
    Left,
    /// Flush right, for numbers.
    Right,
}

/// How a cell is coloured if colour is on. Tone never carries meaning alone: the text says it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As the terminal has it.
    #[default]
    Plain,
    /// Bold.
    Strong,
    /// Dim.
    Faint,
    /// Green.
    Good,
    /// Yellow.
    Warning,
    /// Red.
    Bad,
}

impl Tone {
    const fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }

    /// `text` in this tone if `ansi` is set, else unchanged.
    pub fn paint(self, text: &str, ansi: bool) -> String {
        if ansi && self != Self::Plain {
            format!("{}{text}\x1b[0m", self.escape())
        } else {
            text.to_owned()
        }
    }
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell of `text` in `tone`.
    pub fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: printable(text.as_ref()),
            tone,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// A column's title, alignment and greatest width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    title: String,
    align: Align,
    max_width: usize,
}

impl Column {
    /// A column of words.
    pub fn left(title: &str) -> Self {
        Self {
            title: printable(title),
            align: Align::Left,
            max_width: usize::MAX,
        }
    }

    /// A column of numbers.
    pub fn right(title: &str) -> Self {
        Self {
            align: Align::Right,
            ..Self::left(title)
        }
    }

    /// Shortens longer text to `columns` terminal columns by an ellipsis in its middle, where names of a model differ
    /// least.
    #[must_use]
    pub fn at_most(mut self, columns: usize) -> Self {
        self.max_width = columns.max(3);
        self
    }
}

#[derive(Clone, Debug)]
enum Line {
    Cells(Vec<Cell>),
    Rule,
}

/// A table under construction.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    lines: Vec<Line>,
    indent: usize,
}

impl Table {
    /// An empty table. If every title is empty, the table has neither header nor rule.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            lines: Vec::new(),
            indent: 0,
        }
    }

    /// Sets the table in by `columns` spaces.
    #[must_use]
    pub fn indented(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    /// Appends a row. Missing cells are empty, cells beyond the last column are left out.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Self {
        self.lines
            .push(Line::Cells(cells.into_iter().map(Into::into).collect()));
        self
    }

    /// Appends a rule across the table, for example above a total.
    pub fn rule(&mut self) -> &mut Self {
        self.lines.push(Line::Rule);
        self
    }

    /// Whether no row was appended.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The table as text; each line ends in a newline and none in spaces.
    pub fn render(&self, ansi: bool) -> String {
        let widths = self.widths();
        let mut text = String::new();
        if self.columns.iter().any(|column| !column.title.is_empty()) {
            let titles: Vec<Cell> = self
                .columns
                .iter()
                .map(|column| Cell::new(&column.title, Tone::Strong))
                .collect();
            self.push_cells(&mut text, &titles, &widths, ansi);
            self.push_rule(&mut text, &widths, ansi);
        }
        for line in &self.lines {
            match line {
                Line::Cells(cells) => self.push_cells(&mut text, cells, &widths, ansi),
                Line::Rule => self.push_rule(&mut text, &widths, ansi),
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| width(&column.title)).collect();
        for line in &self.lines {
            let Line::Cells(cells) = line else { continue };
            for ((slot, column), cell) in widths.iter_mut().zip(&self.columns).zip(cells) {
                *slot = (*slot).max(width(&cell.text).min(column.max_width));
            }
        }
        widths
    }

    fn push_cells(&self, text: &mut String, cells: &[Cell], widths: &[usize], ansi: bool) {
        let empty = Cell::default();
        let mut pending = self.indent;
        for (index, (column, &column_width)) in self.columns.iter().zip(widths).enumerate() {
            let cell = cells.get(index).unwrap_or(&empty);
            let shown = shorten(&cell.text, column_width);
            let slack = column_width.saturating_sub(width(&shown));
            if index > 0 {
                pending += 2;
            }
            if column.align == Align::Right {
                pending += slack;
            }
            if !shown.is_empty() {
                text.extend(std::iter::repeat_n(' ', pending));
                text.push_str(&cell.tone.paint(&shown, ansi));
                pending = 0;
            }
            if column.align == Align::Left {
                pending += slack;
            }
        }
        text.push('\n');
    }

    fn push_rule(&self, text: &mut String, widths: &[usize], ansi: bool) {
        let dashes: Vec<String> = widths.iter().map(|&columns| "─".repeat(columns)).collect();
        text.extend(std::iter::repeat_n(' ', self.indent));
        text.push_str(&Tone::Faint.paint(&dashes.join("  "), ansi));
        text.push('\n');
    }
}

/// A horizontal bar of `columns` terminal columns, of which `fraction` is filled, to an eighth of a column.
pub fn bar(fraction: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let fraction = if fraction.is_finite() {
        fraction.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let eighths = (fraction * columns as f64 * 8.0).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    text.push_str(EIGHTHS[eighths % 8]);
    let filled = width(&text);
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(filled)));
    text
}

/// One block character per value, from the least to the greatest of them; values that are not finite are blanks.
pub fn sparkline(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    // Halved before subtracting, so that the range of two extremes stays finite.
    let range = high / 2.0 - low / 2.0;
    values
        .iter()
        .map(|&value| match value {
            _ if !value.is_finite() => ' ',
            _ if range <= 0.0 => BLOCKS[0],
            _ => BLOCKS[(((value / 2.0 - low / 2.0) / range * 7.0).round() as usize).min(7)],
        })
        .collect()
}

/// The number of terminal columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

const fn char_width(character: char) -> usize {
    match character as u32 {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFEFF => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// `text` with every character that could move the cursor or turn the direction of writing replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
            '\t' | '\n' | '\r' => ' ',
            _ if character.is_control() => '\u{FFFD}',
            _ => character,
        })
        .collect()
}

/// `text` in at most `columns` terminal columns, its middle replaced by an ellipsis if it is longer.
pub fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let head = take_width(text.chars(), kept - kept / 2);
    let tail = take_width(text.chars().rev(), kept / 2);
    head.into_iter()
        .chain(['…'])
        .chain(tail.into_iter().rev())
        .collect()
}

/// The part that all `names` start with, up to and with the last separator (`/`, `.` or `:`) in it. Model exporters put
/// the same path before every name; without it, short columns show what differs. Empty for fewer than two names.
pub fn shared_prefix<'a>(names: impl IntoIterator<Item = &'a str>) -> &'a str {
    let mut names = names.into_iter();
    let Some(first) = names.next() else { return "" };
    let mut length = first.len();
    let mut others = 0;
    for name in names {
        length = first
            .bytes()
            .zip(name.bytes())
            .take(length)
            .take_while(|(left, right)| left == right)
            .count();
        others += 1;
    }
    let shared = first.as_bytes().get(..length).unwrap_or_default();
    match shared.iter().rposition(|byte| matches!(byte, b'/' | b'.' | b':')) {
        Some(last) if others > 0 => &first[..=last],
        _ => "",
    }
}

/// `name` without `prefix`, in at most `columns` columns.
pub fn short_name(name: &str, prefix: &str, columns: usize) -> String {
    match name.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() && !rest.is_empty() => shorten(&format!("…{rest}"), columns),
        _ => shorten(name, columns),
    }
}

fn take_width(characters: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut used = 0;
    characters
        .take_while(|&character| {
            used += char_width(character);
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests;
