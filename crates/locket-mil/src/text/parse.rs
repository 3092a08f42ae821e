//! Text to program. For tests and tools: names and data are trusted to fit in memory, syntax is not.

use indexmap::IndexMap;

use half::f16;
use locket_tensor::{DType, Tensor, element_count};

use crate::{Arg, Function, Literal, Operation, Target, Type, ValueId};

/// Why a text is no function, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Line, counted from 1.
    pub line: usize,
    /// What was expected, or what is wrong.
    pub message: String,
}

/// Reads a function in the form that [`super::print`] writes. Lines that start with `#` are comments.
///
/// # Errors
///
/// The first line that does not fit the form.
pub fn parse(text: &str) -> Result<Function, ParseError> {
    read(text, None)
}

/// Reads a function whose constants' data is kept elsewhere; `data` is given the number, type and shape of each. Data that
/// would have to be made up (`fill`, `ramp`) is refused.
///
/// # Errors
///
/// As [`parse`], and what `data` says.
pub fn parse_apart(text: &str, data: DataOf<'_>) -> Result<Function, ParseError> {
    read(text, Some(data))
}

/// Finds the data of a constant by its number, given type and shape.
type DataOf<'a> = &'a dyn Fn(usize, DType, &[usize]) -> Result<Tensor, String>;

fn read(text: &str, data: Option<DataOf<'_>>) -> Result<Function, ParseError> {
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let mut lines = lines
        .by_ref()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (number, head) = lines.next().ok_or(ParseError {
        line: 1,
        message: "expected `func`, found nothing".to_owned(),
    })?;
    let mut cursor = Cursor {
        rest: head,
        line: number,
    };
    let (mut scope, outputs) = parse_head(&mut cursor)?;
    scope.shared = data.is_some().then(IndexMap::new);
    for (number, line) in lines {
        if line == "}" {
            for (name, value) in outputs {
                let id = scope.lookup(&value).map_err(|message| ParseError {
                    line: number,
                    message,
                })?;
                scope.function.add_output(&name, id);
            }
            return Ok(scope.function);
        }
        parse_line(
            &mut Cursor {
                rest: line,
                line: number,
            },
            &mut scope,
            data,
        )?;
    }
    Err(ParseError {
        line: text.lines().count(),
        message: "expected `}` at the end".to_owned(),
    })
}

struct Scope<'a> {
    function: Function,
    names: IndexMap<String, ValueId>,
    /// Constants written in place, by how they are written, if equal ones may be one value.
    shared: Option<IndexMap<&'a str, ValueId>>,
}

impl Scope<'_> {
    fn lookup(&self, name: &str) -> Result<ValueId, String> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| format!("%{name} is not defined before its use"))
    }
}

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError {
            line: self.line,
            message: message.into(),
        })
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.rest.chars().take(12).collect();
        self.fail(format!("expected `{token}`, found `{found}`"))
    }

    fn take(&mut self, good: impl Fn(char) -> bool) -> &'a str {
        self.skip();
        let end = self.rest.find(|c| !good(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> Result<String, ParseError> {
        self.skip();
        if self.rest.starts_with('"') {
            return self.string();
        }
        let word = self.take(|c| c.is_ascii_alphanumeric() || "_.@/-$".contains(c));
        if word.is_empty() {
            self.fail("expected a name")
        } else {
            Ok(word.to_owned())
        }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => text.extend(
                    chars
                        .next()
                        .map(|(_, escaped)| if escaped == 'n' { '\n' } else { escaped }),
                ),
                _ => text.push(c),
            }
        }
        self.fail("expected a closing quote")
    }

    fn ty(&mut self) -> Result<Type, ParseError> {
        if self.eat("?") {
            return Ok(Type::Unknown);
        }
        let name = self.word()?;
        if name == "string" {
            return Ok(Type::Text);
        }
        let Some(dtype) = DType::parse(&name) else {
            return self.fail(format!("{name} is no element type"));
        };
        self.expect("[")?;
        let mut shape = Vec::new();
        while !self.eat("]") {
            let digits = self.take(|c| c.is_ascii_digit());
            match digits.parse() {
                Ok(dim) => shape.push(dim),
                Err(_) => return self.fail(format!("`{digits}` is no dimension")),
            }
            self.eat(",");
        }
        Ok(Type::tensor(dtype, &shape))
    }

    fn number(&mut self) -> Result<String, ParseError> {
        let text = self.take(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
        if text.is_empty() {
            self.fail("expected a number")
        } else {
            Ok(text.to_owned())
        }
    }

    fn parsed<T: std::str::FromStr>(&self, text: &str) -> Result<T, ParseError> {
        text.parse()
            .or_else(|_| self.fail(format!("`{text}` is no number of this type")))
    }
}

fn parse_head<'a>(cursor: &mut Cursor<'a>) -> Result<(Scope<'a>, Vec<(String, String)>), ParseError> {
    cursor.expect("func")?;
    let name = cursor.word()?;
    cursor.expect("opset")?;
    let opset = cursor.word()?;
    let Some(target) = Target::parse(&opset) else {
        return cursor.fail(format!("{opset} is no target"));
    };
    let mut scope = Scope {
        function: Function::new(&name, target),
        names: IndexMap::new(),
        shared: None,
    };
    cursor.expect("(")?;
    while !cursor.eat(")") {
        cursor.expect("%")?;
        let name = cursor.word()?;
        cursor.expect(":")?;
        let ty = cursor.ty()?;
        let id = scope.function.add_input(&name, ty);
        scope.names.insert(name, id);
        cursor.eat(",");
    }
    cursor.expect("->")?;
    cursor.expect("(")?;
    let mut outputs = Vec::new();
    while !cursor.eat(")") {
        let name = cursor.word()?;
        cursor.expect(":")?;
        cursor.expect("%")?;
        outputs.push((name, cursor.word()?));
        cursor.eat(",");
    }
    cursor.expect("{")?;
    Ok((scope, outputs))
}

fn parse_line<'a>(
    cursor: &mut Cursor<'a>,
    scope: &mut Scope<'a>,
    data: Option<DataOf<'_>>,
) -> Result<(), ParseError> {
    let mut results = Vec::new();
    loop {
        cursor.expect("%")?;
        let name = cursor.word()?;
        cursor.expect(":")?;
        results.push((name, cursor.ty()?));
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect("=")?;
    cursor.skip();
    let constant = cursor.rest.starts_with(['[', '"', '<']) || is_generated(cursor.rest);
    if constant {
        let (name, ty) = results.swap_remove(0);
        let literal = match (data, &ty) {
            (Some(data), Type::Tensor { dtype, shape }) => numbered(cursor, *dtype, shape, data)?,
            _ => parse_data(cursor, &ty)?,
        };
        let id = scope.function.add_constant(&name, literal);
        scope.names.insert(name, id);
        return Ok(());
    }
    let kind = cursor.word()?;
    let inputs = parse_args(cursor, scope)?;
    let mut outputs = Vec::new();
    for (name, ty) in results {
        let id = scope.function.add_result(&name, ty);
        scope.names.insert(name, id);
        outputs.push(id);
    }
    let mut origin = Vec::new();
    while {
        cursor.skip();
        cursor.rest.starts_with('"')
    } {
        origin.push(cursor.string()?);
    }
    scope.function.operations.push(Operation {
        kind: kind.into(),
        inputs,
        outputs,
        origin,
    });
    Ok(())
}

/// True for `fill(0.5)` and `ramp(0.0, 0.25)`; the operator `fill` names its parameters.
fn is_generated(text: &str) -> bool {
    let arguments = text.strip_prefix("fill(").or_else(|| text.strip_prefix("ramp("));
    arguments.is_some_and(|arguments| {
        let end = arguments.find(['=', ')']);
        end.is_some_and(|end| arguments[end..].starts_with(')'))
    })
}

fn parse_args<'a>(
    cursor: &mut Cursor<'a>,
    scope: &mut Scope<'a>,
) -> Result<Vec<(crate::Name, Arg)>, ParseError> {
    let mut inputs = Vec::new();
    cursor.expect("(")?;
    while !cursor.eat(")") {
        let param = cursor.word()?;
        cursor.expect("=")?;
        let arg = if cursor.eat("(") {
            let mut values = Vec::new();
            while !cursor.eat(")") {
                values.push(reference(cursor, scope)?);
                cursor.eat(",");
            }
            Arg::Many(values)
        } else {
            cursor.skip();
            Arg::One(if cursor.rest.starts_with('%') {
                reference(cursor, scope)?
            } else {
                in_place(cursor, scope, &param)?
            })
        };
        inputs.push((param.into(), arg));
        cursor.eat(",");
    }
    Ok(inputs)
}

/// The value of a constant that is written in place.
fn in_place<'a>(cursor: &mut Cursor<'a>, scope: &mut Scope<'a>, param: &str) -> Result<ValueId, ParseError> {
    let start = cursor.rest;
    let literal = parse_inline(cursor)?;
    let written = &start[..start.len() - cursor.rest.len()];
    let known = scope.shared.as_ref().and_then(|shared| shared.get(written));
    if let Some(&id) = known {
        return Ok(id);
    }
    let id = scope.function.add_constant(param, literal);
    if let Some(shared) = &mut scope.shared {
        shared.insert(written, id);
    }
    Ok(id)
}

fn reference(cursor: &mut Cursor<'_>, scope: &Scope<'_>) -> Result<ValueId, ParseError> {
    cursor.expect("%")?;
    let name = cursor.word()?;
    scope.lookup(&name).or_else(|message| cursor.fail(message))
}

fn list(cursor: &mut Cursor<'_>) -> Result<Vec<String>, ParseError> {
    let mut items = Vec::new();
    cursor.expect("[")?;
    while !cursor.eat("]") {
        items.push(cursor.number()?);
        cursor.eat(",");
    }
    Ok(items)
}

/// A constant written in place: its type follows from how it is written.
fn parse_inline(cursor: &mut Cursor<'_>) -> Result<Literal, ParseError> {
    if cursor.rest.starts_with('"') {
        return Ok(Literal::Text(cursor.string()?));
    }
    let is_list = cursor.rest.starts_with('[');
    let items = if is_list {
        list(cursor)?
    } else {
        vec![cursor.number()?]
    };
    let dtype = match items.first().map(String::as_str) {
        Some("true" | "false") => DType::Bool,
        Some(text) if text.contains(['.', 'e', 'n', 'N']) => DType::Float32,
        _ => DType::Int32,
    };
    let shape: &[usize] = if is_list { &[items.len()] } else { &[] };
    tensor_of(cursor, dtype, shape, &items).map(Literal::Tensor)
}

/// Data that is kept elsewhere.
fn numbered(
    cursor: &mut Cursor<'_>,
    dtype: DType,
    shape: &[usize],
    data: DataOf<'_>,
) -> Result<Literal, ParseError> {
    cursor.expect("<")?;
    let digits = cursor.take(|c| c.is_ascii_digit());
    let number = cursor.parsed(digits)?;
    cursor.expect(">")?;
    data(number, dtype, shape)
        .map(Literal::Tensor)
        .or_else(|message| cursor.fail(message))
}

fn parse_data(cursor: &mut Cursor<'_>, ty: &Type) -> Result<Literal, ParseError> {
    let (dtype, shape) = match ty {
        Type::Text => return Ok(Literal::Text(cursor.string()?)),
        Type::Unknown => return cursor.fail("a constant needs a type"),
        Type::Tensor { dtype, shape } => (*dtype, shape),
    };
    let count = element_count(shape).filter(|&n| n <= 1 << 28);
    let Some(count) = count else {
        return cursor.fail("the constant is too large");
    };
    let items = if cursor.eat("fill(") {
        let value = cursor.number()?;
        cursor.expect(")")?;
        vec![value; count]
    } else if cursor.eat("ramp(") {
        let start = cursor.number().and_then(|text| cursor.parsed::<f32>(&text))?;
        cursor.expect(",")?;
        let step = cursor.number().and_then(|text| cursor.parsed::<f32>(&text))?;
        cursor.expect(")")?;
        (0..count)
            .map(|n| (start + step * (n % 16) as f32).to_string())
            .collect()
    } else {
        cursor.skip();
        if cursor.rest.starts_with('<') {
            return cursor.fail("the data of this constant was elided");
        }
        list(cursor)?
    };
    tensor_of(cursor, dtype, shape, &items).map(Literal::Tensor)
}

fn tensor_of(
    cursor: &Cursor<'_>,
    dtype: DType,
    shape: &[usize],
    items: &[String],
) -> Result<Tensor, ParseError> {
    fn all<T: std::str::FromStr>(cursor: &Cursor<'_>, items: &[String]) -> Result<Vec<T>, ParseError> {
        items.iter().map(|text| cursor.parsed(text)).collect()
    }
    let made = match dtype {
        DType::Float32 => Tensor::from_slice(shape, &all::<f32>(cursor, items)?),
        DType::Float64 => Tensor::from_slice(shape, &all::<f64>(cursor, items)?),
        DType::Float16 => {
            let values: Vec<f16> = all::<f32>(cursor, items)?
                .into_iter()
                .map(f16::from_f32)
                .collect();
            Tensor::from_slice(shape, &values)
        }
        DType::Int16 => Tensor::from_slice(shape, &all::<i16>(cursor, items)?),
        DType::Int32 => Tensor::from_slice(shape, &all::<i32>(cursor, items)?),
        DType::Int64 => Tensor::from_slice(shape, &all::<i64>(cursor, items)?),
        DType::UInt16 => Tensor::from_slice(shape, &all::<u16>(cursor, items)?),
        DType::UInt32 => Tensor::from_slice(shape, &all::<u32>(cursor, items)?),
        DType::UInt64 => Tensor::from_slice(shape, &all::<u64>(cursor, items)?),
        DType::Bool => {
            let codes: Vec<u8> = items
                .iter()
                .map(|text| u8::from(text == "true" || text == "1"))
                .collect();
            Tensor::from_codes(dtype, shape, &codes)
        }
        DType::String | DType::BFloat16 => return cursor.fail(format!("{dtype} data has no text form")),
        _ => {
            let codes: Vec<u8> = all::<i16>(cursor, items)?
                .into_iter()
                .map(|value| value as u8)
                .collect();
            Tensor::from_codes(dtype, shape, &codes)
        }
    };
    made.or_else(|error| cursor.fail(error.to_string()))
}
