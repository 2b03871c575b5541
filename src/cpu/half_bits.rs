//! Half precision to float32 and back, free of branches, so that loops over them vectorise.

/// Branch-free, so that a loop over it vectorises (half's own conversion asks for the CPU's features).
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

#[inline(always)]
pub fn widen_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds to even, free of branches as widening is.
#[inline(always)]
pub fn narrow_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if x.is_nan() { quiet } else { rounded }) as u16
}

/// Rounds to even: the sum with a power of two, chosen by the exponent, leaves the bits that a half keeps.
#[inline(always)]
pub fn narrow_f16(x: f32) -> u16 {
    const TO_INFINITY: f32 = f32::from_bits((127 + 112) << 23);
    const TO_ZERO: f32 = f32::from_bits((127 - 110) << 23);
    let sign = x.to_bits() & 0x8000_0000;
    let twice = x.to_bits() << 1;
    let exponent = (twice & 0xff00_0000).max(0x7100_0000);
    let base = f32::from_bits((exponent >> 1) + 0x0780_0000) + x.abs() * TO_INFINITY * TO_ZERO;
    let bits = base.to_bits();
    let magnitude = (bits >> 13 & 0x7c00) + (bits & 0x0fff);
    (sign >> 16 | if x.is_nan() { 0x7e00 } else { magnitude }) as u16
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
}
