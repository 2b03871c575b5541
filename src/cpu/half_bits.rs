//! Half precision to float32 and back, free of branches, so that loops over them vectorise
//! (half's own conversions ask for the CPU's features each time).

#[inline(always)]
pub fn widen_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds to nearest, ties to even.
#[inline(always)]
pub fn narrow_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    (if value.is_nan() {
        0x7fc0_0000 | (bits & 0x8000_0000)
    } else {
        rounded
    } >> 16) as u16
}

#[inline(always)]
pub fn widen_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let scaled = (f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23)).to_bits();
    let finite = magnitude < 0x7c00 << 13;
    f32::from_bits(
        sign | if finite {
            scaled
        } else {
            magnitude | 0x7f80_0000
        },
    )
}

/// Rounds to nearest, ties to even; the addition of a power of two rounds subnormal results.
#[inline(always)]
pub fn narrow_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    let finite = if magnitude < 113 << 23 {
        subnormal
    } else {
        normal
    };
    let capped = if magnitude >= 0x4780_0000 {
        0x7c00
    } else {
        finite
    };
    let result = if magnitude > 0x7f80_0000 {
        0x7e00
    } else {
        capped
    };
    (sign | result) as u16
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn halves_round_to_even() {
        let neighbours = |bits: u32| [bits.wrapping_sub(1), bits, bits.wrapping_add(1)];
        // Every half, the middle between it and the next, and what lies beside both.
        for high in 0..=u32::from(u16::MAX) {
            let halves = [widen_f16(high as u16).to_bits(), high << 16];
            for bits in halves
                .into_iter()
                .flat_map(|b| [b, b.wrapping_add(0x1000), b.wrapping_add(0x8000)])
                .flat_map(neighbours)
            {
                let x = f32::from_bits(bits);
                if x.is_nan() {
                    assert!(
                        f16::from_bits(narrow_f16(x)).is_nan()
                            && bf16::from_bits(narrow_bf16(x)).is_nan()
                    );
                } else {
                    assert_eq!(narrow_f16(x), f16::from_f32(x).to_bits(), "{x:e}");
                    assert_eq!(narrow_bf16(x), bf16::from_f32(x).to_bits(), "{x:e}");
                }
            }
        }
    }

    #[test]
    fn every_half_widens_exactly() {
        for bits in 0..=u16::MAX {
            let (mine, want) = (widen_f16(bits), f16::from_bits(bits).to_f32());
            assert!(
                mine == want && mine.is_sign_negative() == want.is_sign_negative()
                    || want.is_nan() && mine.is_nan()
            );
        }
    }

    #[test]
    fn halves_round_as_the_half_crate_does() {
        for i in 0..2_000_000u32 {
            let value = f32::from_bits(i.wrapping_mul(2147));
            let (mine, want) = (narrow_f16(value), f16::from_f32(value));
            assert!(
                mine == want.to_bits() || want.is_nan() && f16::from_bits(mine).is_nan(),
                "{value:e}"
            );
            let (mine, want) = (narrow_bf16(value), bf16::from_f32(value));
            assert!(
                mine == want.to_bits() || want.is_nan() && bf16::from_bits(mine).is_nan(),
                "{value:e}"
            );
        }
        for bits in 0..=u16::MAX {
            let (mine, want) = (widen_f16(bits), f16::from_bits(bits).to_f32());
            assert!(mine.to_bits() == want.to_bits() || want.is_nan() && mine.is_nan());
        }
    }
}
