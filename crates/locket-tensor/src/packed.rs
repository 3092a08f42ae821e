//! Elements narrower than a byte: packed least significant bit first, across byte borders, in row-major order.

use crate::DType;

/// Unpacks `count` elements of `bits` bits (1 to 8) into one byte each, as raw codes without sign extension.
///
/// Codes past the end of `bytes` read as zero.
pub fn unpack(bytes: &[u8], bits: usize, count: usize) -> Vec<u8> {
    debug_assert!((1..=8).contains(&bits));
    let mask = ((1u16 << bits) - 1) as u8;
    (0..count)
        .map(|index| {
            let bit = index * bits;
            let low = u16::from(bytes.get(bit / 8).copied().unwrap_or(0));
            let high = u16::from(bytes.get(bit / 8 + 1).copied().unwrap_or(0));
            (((low | (high << 8)) >> (bit % 8)) as u8) & mask
        })
        .collect()
}

/// Packs codes of `bits` bits (1 to 8); higher bits of each code are dropped, padding bits are zero.
pub fn pack(codes: &[u8], bits: usize) -> Vec<u8> {
    debug_assert!((1..=8).contains(&bits));
    let mask = ((1u16 << bits) - 1) as u8;
    let mut bytes = vec![0u8; (codes.len() * bits).div_ceil(8)];
    for (index, &code) in codes.iter().enumerate() {
        let bit = index * bits;
        let wide = u16::from(code & mask) << (bit % 8);
        bytes[bit / 8] |= wide as u8;
        if let (high @ 1.., Some(next)) = ((wide >> 8) as u8, bytes.get_mut(bit / 8 + 1)) {
            *next |= high;
        }
    }
    bytes
}

/// Widens a raw code of a packed or 8-bit integer type to its value (sign-extended where signed).
pub fn code_value(dtype: DType, code: u8) -> i32 {
    match dtype {
        DType::Int4 => i32::from(((code << 4) as i8) >> 4),
        DType::Int8 => i32::from(code as i8),
        _ => i32::from(code),
    }
}

#[cfg(test)]
mod tests {
    use super::{code_value, pack, unpack};
    use crate::DType;

    // The byte patterns were read off files that coremltools wrote.
    #[test]
    fn packs_as_core_ml_does() {
        assert_eq!(pack(&[1, 0xe, 3], 4), [0xe1, 0x03]);
        assert_eq!(pack(&[1, 2, 3, 4, 5], 3), [0xd1, 0x58]);
        assert_eq!(pack(&[1, 0, 1, 1, 0, 0, 0, 0, 1], 1), [0x0d, 0x01]);
        assert_eq!(pack(&[1, 2, 3, 63], 6), [0x81, 0x30, 0xfc]);
    }

    #[test]
    fn unpack_undoes_pack() {
        for bits in 1..=8 {
            let codes: Vec<u8> = (0..37u32).map(|i| (i * 73 % (1 << bits)) as u8).collect();
            assert_eq!(
                unpack(&pack(&codes, bits), bits, codes.len()),
                codes,
                "{bits} bits"
            );
        }
    }

    #[test]
    fn signed_codes_extend() {
        assert_eq!(code_value(DType::Int4, 0xe), -2);
        assert_eq!(code_value(DType::UInt4, 0xe), 14);
        assert_eq!(code_value(DType::Int8, 0xff), -1);
    }
}
