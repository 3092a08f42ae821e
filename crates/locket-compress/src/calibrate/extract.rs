//! A part of a function, as a function of its own.

use locket_mil::{Function, Output, ValueId};

/// The function that computes `wanted` from `known`: only what is needed, with the known values as inputs in the order given.
/// Ids of values stay as they are, except that inputs which operations made have new ones. `known` and `wanted` must be disjoint.
pub(crate) fn extract(function: &Function, known: &[ValueId], wanted: &[ValueId]) -> Function {
    let mut part = function.clone();
    let mut given = vec![false; function.values().len()];
    for id in known {
        given[id.index()] = true;
    }
    let needed = needed(function, &given, wanted);
    part.operations = function
        .operations
        .iter()
        .zip(&needed)
        .filter(|(_, needed)| **needed)
        .map(|(operation, _)| operation.clone())
        .collect();
    part.inputs.clear();
    let mut renamed: Vec<ValueId> = (0..function.values().len()).map(ValueId::from_index).collect();
    for &id in known {
        if function.inputs.contains(&id) {
            part.inputs.push(id);
        } else {
            let name = part.unique_name(&format!("given_{}", function.value(id).name));
            let ty = function.ty(id).clone();
            renamed[id.index()] = part.add_input(&name, ty);
        }
    }
    for operation in &mut part.operations {
        for (_, arg) in &mut operation.inputs {
            for id in arg.values_mut() {
                *id = renamed[id.index()];
            }
        }
    }
    part.outputs = wanted
        .iter()
        .map(|&id| Output {
            name: function.value(id).name.clone(),
            value: id,
        })
        .collect();
    part
}

/// Which operations compute `wanted`, given the values marked in `given`.
fn needed(function: &Function, given: &[bool], wanted: &[ValueId]) -> Vec<bool> {
    let mut open = vec![false; function.values().len()];
    for id in wanted {
        open[id.index()] = true;
    }
    let mut needed = vec![false; function.operations.len()];
    for (index, operation) in function.operations.iter().enumerate().rev() {
        if operation.outputs.iter().any(|id| open[id.index()]) {
            needed[index] = true;
            for id in operation.input_values().filter(|id| !given[id.index()]) {
                open[id.index()] = true;
            }
        }
    }
    needed
}

/// The values that must be kept so that everything from operation `position` on can be computed: each computed by an earlier
/// operation, or an input of the function. What follows from a kept value by `dequantize` is not kept itself, and
/// `constexpr_*` results are not kept. Ascending.
pub(crate) fn frontier(function: &Function, position: usize) -> Vec<ValueId> {
    let producers = function.producers();
    let mut kept = vec![false; function.values().len()];
    let mut keep = |id: ValueId| {
        if function.literal(id).is_some() {
            return;
        }
        match producers[id.index()] {
            Some(maker) if maker >= position => {}
            Some(maker) if function.operations[maker].kind.starts_with("constexpr_") => {}
            Some(maker) if function.operations[maker].kind == "dequantize" => {
                if let Some(codes) = function.operations[maker].input("input") {
                    kept[codes.index()] = true;
                }
            }
            _ => kept[id.index()] = true,
        }
    };
    for operation in &function.operations[position..] {
        operation.input_values().for_each(&mut keep);
    }
    for output in &function.outputs {
        keep(output.value);
    }
    let ids = kept.iter().enumerate().filter(|(_, kept)| **kept);
    ids.map(|(index, _)| ValueId::from_index(index)).collect()
}

#[cfg(test)]
mod tests {
    use locket_mil::{Function, ValueId, text, verify};

    use super::{extract, frontier};

    const SOURCE: &str = r#"func main opset ios17 (%x: fp32[1, 4]) -> (y: %y) {
  %z: uint8[] = [3]
  %c: uint8[1, 4] = quantize(input=%x, zero_point=%z, scale=0.5, output_dtype="uint8")
  %d: fp32[1, 4] = dequantize(input=%c, zero_point=%z, scale=0.5)
  %q: int8[4, 4] = fill(1)
  %k: int8[] = [0]
  %w: fp32[4, 4] = constexpr_affine_dequantize(quantized_data=%q, zero_point=%k, scale=0.25, axis=0)
  %e: fp32[1, 4] = relu(x=%d)
  %a: fp32[1, 4] = linear(x=%e, weight=%w)
  %y: fp32[1, 4] = add(x=%a, y=%d)
}"#;

    fn id(function: &Function, name: &str) -> ValueId {
        let index = function.values().iter().position(|value| value.name == name);
        ValueId::from_index(index.unwrap())
    }

    fn names(function: &Function, ids: &[ValueId]) -> Vec<String> {
        ids.iter().map(|&id| function.value(id).name.clone()).collect()
    }

    #[test]
    fn a_frontier_holds_codes_instead_of_what_follows_from_them() {
        let function = text::parse(SOURCE).unwrap();
        let position = |kind: &str| function.operations.iter().position(|op| op.kind == kind).unwrap();
        assert_eq!(names(&function, &frontier(&function, 0)), ["x"]);
        assert_eq!(
            names(&function, &frontier(&function, position("linear"))),
            ["c", "e"]
        );
        assert_eq!(
            names(&function, &frontier(&function, position("add"))),
            ["c", "a"]
        );
    }

    #[test]
    fn an_extract_computes_what_is_wanted_from_what_is_known() {
        let function = text::parse(SOURCE).unwrap();
        let known = [id(&function, "c")];
        let wanted = [id(&function, "a")];
        let part = extract(&function, &known, &wanted);
        verify(&part).unwrap();
        let kinds: Vec<&str> = part.operations.iter().map(|op| &*op.kind).collect();
        assert_eq!(
            kinds,
            ["dequantize", "constexpr_affine_dequantize", "relu", "linear"]
        );
        assert_eq!(names(&part, &part.inputs), ["given_c"]);
        assert_eq!(part.ty(part.inputs[0]), function.ty(known[0]));
    }
}
