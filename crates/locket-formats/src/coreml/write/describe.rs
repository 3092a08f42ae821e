//! The description of a model: what each function takes and gives.

use locket_mil::{Function, Type, ValueId};
use locket_tensor::DType;

use super::names::Names;
use super::{FormatError, unsupported};
use crate::coreml::schema::{
    ArrayDataType, ArrayFeature, FeatureDescription, FeatureKind, FeatureType, FunctionDescription,
    ModelDescription,
};

/// Describes the interface of all functions.
///
/// # Errors
/// When an input or output is nothing that the interface can have.
pub(super) fn interface<'f>(
    functions: &'f [Function],
    names: &'f [Names],
    default_function: usize,
) -> Result<ModelDescription<'f>, FormatError> {
    let mut described = Vec::new();
    for (function, names) in functions.iter().zip(names) {
        described.push(FunctionDescription {
            name: function.name.as_str().into(),
            inputs: features(function, names.inputs(), function.inputs.iter().copied())?,
            outputs: features(
                function,
                names.outputs(),
                function.outputs.iter().map(|output| output.value),
            )?,
            ..FunctionDescription::default()
        });
    }
    if described.len() == 1
        && let Some(only) = described.pop()
    {
        return Ok(ModelDescription {
            inputs: only.inputs,
            outputs: only.outputs,
            ..ModelDescription::default()
        });
    }
    let default = functions
        .get(default_function)
        .map_or("", |function| &function.name);
    Ok(ModelDescription {
        functions: described,
        default_function_name: default.into(),
        ..ModelDescription::default()
    })
}

fn features<'f>(
    function: &Function,
    names: &'f [String],
    values: impl Iterator<Item = ValueId>,
) -> Result<Vec<FeatureDescription<'f>>, FormatError> {
    let feature = |(name, value): (&'f String, ValueId)| {
        let array = array(function.ty(value));
        let array =
            array.ok_or_else(|| unsupported(name, "its type cannot stand at the interface", "cast it"))?;
        Ok(FeatureDescription {
            name: name.as_str().into(),
            short_description: "".into(),
            feature_type: Some(FeatureType {
                kind: Some(FeatureKind::Array(array)),
                is_optional: false,
            }),
        })
    };
    names.iter().zip(values).map(feature).collect()
}

fn array(ty: &Type) -> Option<ArrayFeature> {
    let data_type = match ty.dtype()? {
        DType::Float32 => ArrayDataType::Float32,
        DType::Float16 => ArrayDataType::Float16,
        DType::Int32 => ArrayDataType::Int32,
        DType::Int8 => ArrayDataType::Int8,
        _ => return None,
    };
    let shape: Option<Vec<i64>> = ty.shape()?.iter().map(|dim| i64::try_from(*dim).ok()).collect();
    Some(ArrayFeature {
        shape: shape?,
        data_type: Some(data_type),
        ..ArrayFeature::default()
    })
}
