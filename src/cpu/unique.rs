//! Distinct values in ascending order: by counting where they span little, else by sorting keys.

use super::buffer::Buffer;
use super::sort::{Groups, group};
use super::sort_keys::{Packed, SortKey, sort_digits, sort_packed};

/// Distinct elements, how often each occurs, and for each element which it is, if that was asked for.
pub struct Distinct<T> {
    pub values: Vec<T>,
    pub counts: Vec<i64>,
    pub inverse: Option<Vec<i64>>,
}

/// Values that are counted rather than sorted: as many as there are elements, or as a cache holds.
const COUNTED: usize = 1 << 14;

/// The distinct elements. Each NaN is one of its own.
pub fn distinct<T: SortKey>(src: &[T], inverse: bool) -> Distinct<T> {
    let (low, high) = src.iter().fold((u64::MAX, 0), |(low, high), x| {
        (low.min(x.key()), high.max(x.key()))
    });
    let span = high.wrapping_sub(low);
    let has_nan = T::NAN_KEY.is_some_and(|nan| high == nan);
    if src.is_empty() || (span < COUNTED.max(src.len()) as u64 && !has_nan) {
        count(src, low, span, inverse)
    } else if inverse {
        let fits = u32::try_from(span).is_ok() && u32::try_from(src.len()).is_ok();
        if fits {
            sort_positions::<T, u64>(src, low, span)
        } else {
            sort_positions::<T, u128>(src, low, span)
        }
    } else {
        sort_keys(src, low, span)
    }
}

fn count<T: SortKey>(src: &[T], low: u64, span: u64, inverse: bool) -> Distinct<T> {
    let mut places = vec![0i64; if src.is_empty() { 0 } else { span as usize + 1 }];
    for x in src {
        places[(x.key() - low) as usize] += 1;
    }
    let (mut values, mut counts) = (Vec::new(), Vec::new());
    for (key, place) in (low..).zip(&mut places) {
        if *place > 0 {
            counts.push(std::mem::replace(place, values.len() as i64));
            values.push(T::of_key(key));
        }
    }
    let inverse = inverse.then(|| {
        src.iter()
            .map(|x| places[(x.key() - low) as usize])
            .collect()
    });
    Distinct {
        values,
        counts,
        inverse,
    }
}

fn bits(span: u64) -> u32 {
    u64::BITS - span.leading_zeros()
}

fn sort_keys<T: SortKey>(src: &[T], low: u64, span: u64) -> Distinct<T> {
    let mut keys = Buffer::<u64>::new();
    keys.fill_with(src.len(), |i| src[i].key() - low);
    sort_digits(&mut keys, &mut Buffer::new(), 0, bits(span));
    let (mut values, mut counts) = (Vec::new(), Vec::new());
    for run in keys.chunk_by(|a, b| a == b) {
        let key = run[0] + low;
        if T::NAN_KEY == Some(key) {
            values.extend(std::iter::repeat_n(T::of_key(key), run.len()));
            counts.extend(std::iter::repeat_n(1, run.len()));
        } else {
            values.push(T::of_key(key));
            counts.push(run.len() as i64);
        }
    }
    Distinct {
        values,
        counts,
        inverse: None,
    }
}

fn sort_positions<T: SortKey, P: Packed>(src: &[T], low: u64, span: u64) -> Distinct<T> {
    let mut items = Buffer::<P>::new();
    items.fill_with(src.len(), |i| P::pack(src[i].key() - low, i));
    sort_packed(&mut items, &mut Buffer::new(), bits(span));
    let mut inverse = vec![0; src.len()];
    let Groups { first, counts } = group(
        items.iter().map(|x| x.position()),
        |a, b| src[a] == src[b],
        Some(&mut inverse),
    );
    Distinct {
        values: first.into_iter().map(|i| src[i]).collect(),
        counts,
        inverse: Some(inverse),
    }
}

/// Runs of equal neighbours. Each NaN is a run of its own.
pub fn runs<T: SortKey>(src: &[T], inverse: bool) -> Distinct<T> {
    let Some(&first) = src.first() else {
        return count(src, 0, 0, inverse);
    };
    let (mut values, mut ends) = (Buffer::new(), Buffer::new());
    let mut places = inverse.then(|| vec![0i64; src.len()]);
    let (value_slots, end_slots) = (values.uninit(src.len()), ends.uninit(src.len()));
    let (mut run, mut last) = (0, first);
    // Every element is written to its run, so that nothing depends on a branch that nobody can predict.
    for (i, &x) in src.iter().enumerate() {
        run += usize::from(i > 0 && x != last);
        last = x;
        value_slots[run].write(x);
        end_slots[run].write(i as i64 + 1);
        if let Some(places) = &mut places {
            places[i] = run as i64;
        }
    }
    // SAFETY: the slots of all runs were written.
    unsafe {
        values.set_len(run + 1);
        ends.set_len(run + 1);
    }
    let starts = std::iter::once(&0).chain(ends.iter());
    Distinct {
        values: values.to_vec(),
        counts: ends
            .iter()
            .zip(starts)
            .map(|(end, start)| end - start)
            .collect(),
        inverse: places,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_and_sorting_agree() {
        let narrow: Vec<i64> = (0..5000).map(|i| i * 7919 % 100 - 50).collect();
        let wide: Vec<i64> = narrow.iter().map(|&x| x * (1 << 40)).collect();
        let (a, b, c) = (
            distinct(&narrow, true),
            distinct(&wide, true),
            distinct(&wide, false),
        );
        assert_eq!(a.values, (-50..50).collect::<Vec<i64>>());
        assert_eq!((&a.counts, &a.inverse), (&b.counts, &b.inverse));
        assert_eq!((&b.values, &b.counts), (&c.values, &c.counts));
    }

    #[test]
    fn every_nan_stands_alone() {
        let mut x = vec![f64::NAN, 1.0, f64::NAN, -0.0, 0.0];
        x.extend((0..3000).map(f64::from));
        for inverse in [false, true] {
            let found = distinct(&x, inverse);
            assert_eq!(found.values.len(), 3002);
            assert_eq!(found.counts[..2], [3, 2]);
        }
    }
}
