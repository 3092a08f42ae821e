//! Program to text.

use std::fmt::Write as _;

use locket_tensor::{DType, Tensor};

use crate::{Arg, Function, Literal, ValueId};

/// Longest rank-1 constant that is written in place.
const INLINE_ELEMS: usize = 8;

/// Writes a function. Constants with more than `elide_over` elements lose their data (`<elided>`), and with it the
/// way back through [`super::parse`]; `usize::MAX` keeps everything.
pub fn print(function: &Function, elide_over: usize) -> String {
    write(function, &mut |_, tensor| {
        if tensor.elems() > elide_over {
            "<elided>".to_owned()
        } else {
            format!("[{}]", elements(tensor).join(", "))
        }
    })
}

/// Writes a function without the data of its constants; `number` says where each is kept. [`super::parse_apart`] reads it.
pub fn print_apart(function: &Function, number: &mut dyn FnMut(ValueId, &Tensor) -> usize) -> String {
    write(function, &mut |id, tensor| format!("<{}>", number(id, tensor)))
}

fn write(function: &Function, data: &mut dyn FnMut(ValueId, &Tensor) -> String) -> String {
    let mut text = String::new();
    let inputs: Vec<String> = function
        .inputs
        .iter()
        .map(|&id| format!("%{}: {}", word(&function.value(id).name), function.ty(id)))
        .collect();
    let outputs: Vec<String> = function
        .outputs
        .iter()
        .map(|output| {
            format!(
                "{}: %{}",
                word(&output.name),
                word(&function.value(output.value).name)
            )
        })
        .collect();
    let (name, opset) = (word(&function.name), function.opset);
    let _ = writeln!(
        text,
        "func {name} opset {opset} ({}) -> ({}) {{",
        inputs.join(", "),
        outputs.join(", ")
    );
    let mut written = vec![false; function.values().len()];
    for operation in &function.operations {
        let mut args = Vec::new();
        for (param, arg) in &operation.inputs {
            for &id in arg.values() {
                constant_line(function, id, data, &mut written, &mut text);
            }
            args.push(format!("{param}={}", argument(function, arg)));
        }
        let results: Vec<String> = operation
            .outputs
            .iter()
            .map(|&id| format!("%{}: {}", word(&function.value(id).name), function.ty(id)))
            .collect();
        let origin: String = operation.origin.iter().fold(String::new(), |mut text, name| {
            text.push(' ');
            text.push_str(&quoted(name));
            text
        });
        let _ = writeln!(
            text,
            "  {} = {}({}){origin}",
            results.join(", "),
            operation.kind,
            args.join(", ")
        );
    }
    for output in &function.outputs {
        constant_line(function, output.value, data, &mut written, &mut text);
    }
    text.push_str("}\n");
    text
}

/// A name as the parser takes it: quoted unless it is made of plain characters.
fn word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.@/-$".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

fn argument(function: &Function, arg: &Arg) -> String {
    let one = |id: ValueId| {
        function
            .literal(id)
            .and_then(inline)
            .unwrap_or_else(|| format!("%{}", word(&function.value(id).name)))
    };
    match arg {
        Arg::One(id) => one(*id),
        Arg::Many(ids) => {
            let items: Vec<String> = ids
                .iter()
                .map(|id| format!("%{}", word(&function.value(*id).name)))
                .collect();
            format!("({})", items.join(", "))
        }
    }
}

fn inline(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Text(text) => Some(quoted(text)),
        Literal::Tensor(tensor) if tensor.shape().len() <= 1 && tensor.elems() <= INLINE_ELEMS => {
            matches!(tensor.dtype(), DType::Int32 | DType::Float32 | DType::Bool).then_some(())?;
            let items = elements(tensor);
            Some(if tensor.shape().is_empty() {
                items.concat()
            } else {
                format!("[{}]", items.join(", "))
            })
            .filter(|text| text != "[]")
        }
        Literal::Tensor(_) => None,
    }
}

fn elements(tensor: &Tensor) -> Vec<String> {
    if tensor.dtype() == DType::Bool {
        return tensor
            .codes()
            .iter()
            .map(|&code| (code != 0).to_string())
            .collect();
    }
    if let Some(values) = tensor.to_i64() {
        return values.iter().map(i64::to_string).collect();
    }
    if tensor.dtype() == DType::Float64 {
        return tensor
            .as_slice::<f64>()
            .iter()
            .map(|value| format!("{value:?}"))
            .collect();
    }
    tensor
        .to_f32()
        .unwrap_or_default()
        .iter()
        .map(|value| format!("{value:?}"))
        .collect()
}

fn constant_line(
    function: &Function,
    id: ValueId,
    data: &mut dyn FnMut(ValueId, &Tensor) -> String,
    written: &mut [bool],
    text: &mut String,
) {
    let Some(literal) = function.literal(id) else {
        return;
    };
    let many = function.operations.iter().any(|operation| {
        operation
            .inputs
            .iter()
            .any(|(_, arg)| matches!(arg, Arg::Many(ids) if ids.contains(&id)))
    });
    if (inline(literal).is_some() && !function.is_output(id) && !many)
        || std::mem::replace(&mut written[id.index()], true)
    {
        return;
    }
    let data = match literal {
        Literal::Text(value) => quoted(value),
        Literal::Tensor(tensor) => data(id, tensor),
    };
    let value = function.value(id);
    let _ = writeln!(text, "  %{}: {} = {data}", word(&value.name), value.ty);
}
