//! Comma-separated tables (RFC 4180) and the table of labels in particular.
//!
//! Fields may be quoted, quoted fields may hold commas, line breaks and doubled quotes. Lines end in LF or CRLF, a byte
//! order mark is skipped, and so are empty lines. Errors name the line where the record starts.

use std::path::Path;

use thiserror::Error;

use crate::error::{DataError, read_limited};

/// Largest table that is read: room for several million labels.
pub const MAX_TABLE_BYTES: u64 = 256 * 1024 * 1024;

/// A table with a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The records below the header; each has as many fields as there are columns.
    pub records: Vec<Record>,
}

/// One record of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line where it starts, counted from 1.
    pub line: usize,
    /// Its fields, unquoted.
    pub fields: Vec<String>,
}

/// One row of a table of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRow {
    /// The line where it stands, counted from 1.
    pub line: usize,
    /// The sample's file or name; empty if the table has no such column.
    pub path: String,
    /// The class, counted from 0.
    pub label: usize,
}

/// What is wrong with a table, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct CsvProblem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// Parses a table with a header.
///
/// # Errors
///
/// A [`CsvProblem`] for an empty table, a quote in the wrong place, a quoted field without end, and a record with more or
/// fewer fields than there are columns.
pub fn parse(text: &str) -> Result<Table, CsvProblem> {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    let header = reader.record()?.ok_or_else(|| CsvProblem {
        line: 1,
        problem: "the table is empty".to_owned(),
    })?;
    let mut records = Vec::new();
    while let Some(record) = reader.record()? {
        if record.fields.len() != header.fields.len() {
            let problem = format!(
                "{} fields, expected {} as in the header",
                record.fields.len(),
                header.fields.len()
            );
            return Err(CsvProblem {
                line: record.line,
                problem,
            });
        }
        records.push(record);
    }
    Ok(Table {
        columns: header.fields,
        records,
    })
}

/// Reads a table of labels: columns `path` and `label`, others ignored.
///
/// # Errors
///
/// [`DataError::Io`] or [`DataError::TooLarge`] for the file, [`DataError::Csv`] for its content.
pub fn read_labels(path: &Path) -> Result<Vec<LabelRow>, DataError> {
    let at = |problem: CsvProblem| DataError::Csv {
        path: path.to_owned(),
        line: problem.line,
        problem: problem.problem,
    };
    labels(&parse(&read_text(path)?).map_err(at)?, &["path"]).map_err(at)
}

/// Like [`read_labels`] for a table beside arrays, where the name of a sample is optional and may stand under `path` or
/// `source`.
pub(crate) fn read_optional_names(path: &Path) -> Result<Vec<LabelRow>, DataError> {
    let at = |problem: CsvProblem| DataError::Csv {
        path: path.to_owned(),
        line: problem.line,
        problem: problem.problem,
    };
    let table = parse(&read_text(path)?).map_err(at)?;
    let named = ["path", "source"]
        .into_iter()
        .find(|name| table.columns.iter().any(|column| column == name));
    labels(&table, named.as_slice()).map_err(at)
}

fn read_text(path: &Path) -> Result<String, DataError> {
    let mut bytes = Vec::new();
    read_limited(path, MAX_TABLE_BYTES, &mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        DataError::Csv {
            path: path.to_owned(),
            line,
            problem: "not UTF-8 text".to_owned(),
        }
    })
}

/// Picks the label column and the first of the `names` columns (none if `names` is empty).
fn labels(table: &Table, names: &[&str]) -> Result<Vec<LabelRow>, CsvProblem> {
    let find = |name: &str| {
        table
            .columns
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| CsvProblem {
                line: 1,
                problem: format!("no column '{name}', found: {}", table.columns.join(", ")),
            })
    };
    let label_column = find("label")?;
    let path_column = names.first().map(|name| find(name)).transpose()?;
    let row = |record: &Record| {
        let field = |column: usize| record.fields.get(column).map_or("", String::as_str);
        let found = field(label_column);
        let label = found.trim().parse().map_err(|_| CsvProblem {
            line: record.line,
            problem: format!("label '{found}', expected a whole number from 0"),
        })?;
        let path = path_column.map(field).unwrap_or_default();
        if path_column.is_some() && path.is_empty() {
            return Err(CsvProblem {
                line: record.line,
                problem: "the path is empty".to_owned(),
            });
        }
        Ok(LabelRow {
            line: record.line,
            path: path.to_owned(),
            label,
        })
    };
    table.records.iter().map(row).collect()
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The next record that is not an empty line, or `None` at the end.
    fn record(&mut self) -> Result<Option<Record>, CsvProblem> {
        while self.accept_line_end() {}
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let mut fields = vec![self.field()?];
        while self.accept(",") {
            fields.push(self.field()?);
        }
        if !self.rest.is_empty() && !self.accept_line_end() {
            let problem = "text after a closing quote, expected a comma or the end of the line".to_owned();
            return Err(CsvProblem {
                line: self.line,
                problem,
            });
        }
        Ok(Some(Record { line, fields }))
    }

    fn field(&mut self) -> Result<String, CsvProblem> {
        if self.accept("\"") {
            self.quoted()
        } else {
            self.plain()
        }
    }

    fn plain(&mut self) -> Result<String, CsvProblem> {
        let end = self.rest.find([',', '\n', '"']).unwrap_or(self.rest.len());
        let (content, rest) = self.rest.split_at(end);
        if rest.starts_with('"') {
            let problem = "a quote inside an unquoted field".to_owned();
            return Err(CsvProblem {
                line: self.line,
                problem,
            });
        }
        // The CR of a CRLF belongs to the line end, also when the file ends after it.
        let at_line_end = rest.is_empty() || rest.starts_with('\n');
        let content = if at_line_end {
            content.strip_suffix('\r').unwrap_or(content)
        } else {
            content
        };
        self.rest = rest;
        Ok(content.to_owned())
    }

    /// The rest of a quoted field, after its opening quote.
    fn quoted(&mut self) -> Result<String, CsvProblem> {
        let start = self.line;
        let mut content = String::new();
        loop {
            let Some((part, rest)) = self.rest.split_once('"') else {
                return Err(CsvProblem {
                    line: start,
                    problem: "a quoted field without a closing quote".to_owned(),
                });
            };
            self.line += part.bytes().filter(|&byte| byte == b'\n').count();
            content.push_str(part);
            self.rest = rest;
            if !self.accept("\"") {
                return Ok(content);
            }
            content.push('"');
        }
    }

    fn accept(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn accept_line_end(&mut self) -> bool {
        let found = self.accept("\n") || self.accept("\r\n");
        self.line += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

    use super::{Record, labels, parse};

    fn fields(text: &str) -> Result<Vec<Vec<String>>, String> {
        let table = parse(text).map_err(|problem| format!("{}: {}", problem.line, problem.problem))?;
        Ok(std::iter::once(table.columns)
            .chain(table.records.into_iter().map(|record| record.fields))
            .collect())
    }

    #[test]
    fn tables_are_read_as_rfc_4180_has_them() {
        let cases: &[(&str, &[&[&str]])] = &[
            ("a,b\n1,2\n", &[&["a", "b"], &["1", "2"]]),
            ("a,b\r\n1,2\r\n", &[&["a", "b"], &["1", "2"]]),
            ("a,b\r\n1,2\r", &[&["a", "b"], &["1", "2"]]),
            ("\u{feff}a,b\n1,2", &[&["a", "b"], &["1", "2"]]),
            ("a,b\n\n1,\n\n", &[&["a", "b"], &["1", ""]]),
            ("a\n\"x,\"\"y\"\"\nz\"\n", &[&["a"], &["x,\"y\"\nz"]]),
            ("a,b\n\"\",\"q\"\r\n", &[&["a", "b"], &["", "q"]]),
        ];
        for (text, expected) in cases {
            let expected: Vec<Vec<String>> = expected
                .iter()
                .map(|record| record.iter().map(|&field| field.to_owned()).collect())
                .collect();
            assert_eq!(fields(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            ("", "1: the table is empty"),
            ("a,b\n1,2\n3\n", "3: 1 fields, expected 2 as in the header"),
            ("a\n\"x\ny\n", "2: a quoted field without a closing quote"),
            ("a\nx\"y\n", "2: a quote inside an unquoted field"),
            (
                "a,b\n\"1\n\"x,2\n",
                "3: text after a closing quote, expected a comma or the end of the line",
            ),
            ("a,b\n\"1\n2\",3\n4\n", "4: 1 fields, expected 2 as in the header"),
        ];
        for (text, expected) in cases {
            assert_eq!(fields(text), Err(expected.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn label_rows_say_what_is_missing() {
        let rows = |text: &str| {
            labels(&parse(text).unwrap(), &["path"])
                .map(|rows| {
                    rows.iter()
                        .map(|row| format!("{} {} {}", row.line, row.path, row.label))
                        .collect()
                })
                .map_err(|problem| format!("{}: {}", problem.line, problem.problem))
        };
        assert_eq!(
            rows("label,path\n3,a.png\n0,b.png"),
            Ok(vec!["2 a.png 3".to_owned(), "3 b.png 0".to_owned()])
        );
        let errors = [
            ("path,class\na,1", "1: no column 'label', found: path, class"),
            ("label,file\n1,a", "1: no column 'path', found: label, file"),
            ("path,label\na,x", "2: label 'x', expected a whole number from 0"),
            (
                "path,label\na,1\nb,-1",
                "3: label '-1', expected a whole number from 0",
            ),
            ("path,label\n,1", "2: the path is empty"),
        ];
        for (text, expected) in errors {
            assert_eq!(rows(text), Err(expected.to_owned()), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn quoted_fields_survive(cells in prop::collection::vec(prop::collection::vec(any::<String>(), 3), 1..6)) {
            let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let text: String =
                cells.iter().map(|row| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\r\n").collect();
            prop_assert_eq!(fields(&text), Ok(cells));
        }

        #[test]
        fn any_text_is_a_table_or_an_error(text in "[a\",\r\n]{0,40}") {
            if let Ok(table) = parse(&text) {
                let even = |record: &Record| record.fields.len() == table.columns.len();
                assert!(table.records.iter().all(even));
            }
        }
    }
}
