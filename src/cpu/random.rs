//! PyTorch's CPU random number generator: MT19937, drawn in blocks, with the saved state that `get_rng_state` writes.

use super::multiversion::multiversion;

/// Words of the Mersenne twister's state.
const N: usize = 624;
const M: usize = 397;

/// Bytes of a saved state: a C struct with a 64-bit word per state word, then the cached normal samples.
pub const STATE_BYTES: usize = 5056;
const STATE_WORDS_AT: usize = 24;
const NORMAL_Y_AT: usize = STATE_WORDS_AT + 8 * N + 8;
const NORMAL_VALID_AT: usize = NORMAL_Y_AT + 16;
const FLOAT_NORMAL_AT: usize = NORMAL_VALID_AT + 8;
const FLOAT_NORMAL_VALID_AT: usize = FLOAT_NORMAL_AT + 4;

/// The seed of a generator that nobody seeded.
pub const DEFAULT_SEED: u64 = 67_280_421_310_721;

/// Why a saved state was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateError {
    /// The state has this many bytes instead of `STATE_BYTES`.
    Size(usize),
    /// The position inside the state lies outside it.
    Invalid,
}

/// A stream of random words; every distribution consumes it exactly as PyTorch's CPU kernels do.
#[derive(Clone)]
pub struct Generator {
    seed: u64,
    state: [u32; N],
    /// The tempered words of `state`.
    words: [u32; N],
    /// The next word to hand out; `left` counts the draws until the next refill, which it triggers.
    next: usize,
    left: usize,
    cached_normal: Option<f64>,
    /// PyTorch's CPU kernels never fill this one, but its saved states carry it.
    cached_normal_f32: Option<f32>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut state = [0_u32; N];
        // Only the low half of the seed counts.
        state[0] = seed as u32;
        for j in 1..N {
            let previous = state[j - 1] ^ (state[j - 1] >> 30);
            state[j] = previous.wrapping_mul(1_812_433_253).wrapping_add(j as u32);
        }
        Self {
            seed,
            state,
            words: [0; N],
            next: 0,
            left: 1,
            cached_normal: None,
            cached_normal_f32: None,
        }
    }

    /// The seed that the generator was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn next_u32(&mut self) -> u32 {
        self.left -= 1;
        if self.left == 0 {
            self.refill();
        }
        let word = self.words[self.next];
        self.next += 1;
        word
    }

    /// Two words, the first one high.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        if self.left > 2
            && let [high, low, ..] = self.words[self.next..]
        {
            self.next += 2;
            self.left -= 2;
            return u64::from(high) << 32 | u64::from(low);
        }
        let high = u64::from(self.next_u32());
        high << 32 | u64::from(self.next_u32())
    }

    /// Uniform on [0, 1), of 24 bits.
    pub fn uniform_f32(&mut self) -> f32 {
        unit_f32(self.next_u32())
    }

    /// Uniform on [0, 1), of 53 bits.
    pub fn uniform_f64(&mut self) -> f64 {
        unit_f64(self.next_u64())
    }

    /// A standard normal sample by Box-Muller, which makes two: the second waits for the next call.
    pub fn normal(&mut self) -> f64 {
        if let Some(sample) = self.cached_normal.take() {
            return sample;
        }
        let u1 = self.uniform_f64();
        let u2 = self.uniform_f64();
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let theta = 2.0 * std::f64::consts::PI * u1;
        self.cached_normal = Some(radius * theta.sin());
        radius * theta.cos()
    }

    /// Writes `f(word)` for the following words, a whole block at a time.
    #[inline(always)]
    pub fn map_u32<T>(&mut self, out: &mut [T], f: impl Fn(u32) -> T) {
        let mut rest = out;
        while !rest.is_empty() {
            let words = self.block(rest.len());
            let (head, tail) = rest.split_at_mut(words.len());
            // SAFETY: both slices have the same length.
            unsafe { map_words(head.as_mut_ptr(), words.as_ptr(), words.len(), &f) };
            rest = tail;
        }
    }

    /// Writes `f(word)` for the following 64-bit words.
    #[inline(always)]
    pub fn map_u64<T>(&mut self, out: &mut [T], f: impl Fn(u64) -> T) {
        let mut rest = out;
        while !rest.is_empty() {
            let pairs = (self.left - 1) / 2;
            if pairs == 0 {
                let word = self.next_u64();
                rest[0] = f(word);
                rest = &mut rest[1..];
                continue;
            }
            let words = self.block(2 * pairs.min(rest.len()));
            let (head, tail) = rest.split_at_mut(words.len() / 2);
            // SAFETY: there are two words for each element.
            unsafe { map_pairs(head.as_mut_ptr(), words.as_ptr(), head.len(), &f) };
            rest = tail;
        }
    }

    /// The following words: at least one and at most `limit` (> 0), as many as are ready.
    fn block(&mut self, limit: usize) -> &[u32] {
        if self.left == 1 {
            self.refill();
            self.left = N + 1;
        }
        let count = limit.min(self.left - 1);
        let start = self.next;
        self.next += count;
        self.left -= count;
        &self.words[start..start + count]
    }

    fn refill(&mut self) {
        // SAFETY: references are valid pointers.
        unsafe { next_words(&raw mut self.state, &raw mut self.words) };
        self.next = 0;
        self.left = N;
    }

    /// The state in the layout of `torch.get_rng_state()`.
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = vec![0; STATE_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &self.seed.to_ne_bytes());
        put(8, &(self.left as i32).to_ne_bytes());
        put(12, &1_i32.to_ne_bytes());
        put(16, &(self.next as u64).to_ne_bytes());
        for (i, &word) in self.state.iter().enumerate() {
            put(STATE_WORDS_AT + 8 * i, &u64::from(word).to_ne_bytes());
        }
        if let Some(sample) = self.cached_normal {
            put(NORMAL_Y_AT, &sample.to_ne_bytes());
            put(NORMAL_VALID_AT, &1_i32.to_ne_bytes());
        }
        if let Some(sample) = self.cached_normal_f32 {
            put(FLOAT_NORMAL_AT, &sample.to_ne_bytes());
            put(FLOAT_NORMAL_VALID_AT, &[1]);
        }
        bytes
    }

    /// A generator that goes on from a saved state.
    pub fn load(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() != STATE_BYTES {
            return Err(StateError::Size(bytes.len()));
        }
        let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let int = |at: usize| i32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let (left, seeded, next) = (int(8), int(12), long(16));
        let inside = (1..=N as i32).contains(&left)
            && next <= N as u64
            && left as u64 - 1 + next <= N as u64;
        if seeded == 0 || !inside {
            return Err(StateError::Invalid);
        }
        let mut generator = Self::new(long(0));
        generator.state = std::array::from_fn(|i| long(STATE_WORDS_AT + 8 * i) as u32);
        temper(&generator.state, &mut generator.words);
        (generator.left, generator.next) = (left as usize, next as usize);
        generator.cached_normal =
            (int(NORMAL_VALID_AT) != 0).then(|| f64::from_bits(long(NORMAL_Y_AT)));
        generator.cached_normal_f32 = (bytes[FLOAT_NORMAL_VALID_AT] != 0)
            .then(|| f32::from_bits(int(FLOAT_NORMAL_AT) as u32));
        Ok(generator)
    }
}

/// The low 24 bits as a fraction.
#[inline(always)]
pub fn unit_f32(word: u32) -> f32 {
    // Through i32: the conversion from u32 has no instruction before AVX-512.
    (word & 0x00ff_ffff) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// The low 53 bits as a fraction.
#[inline(always)]
pub fn unit_f64(word: u64) -> f64 {
    (word & ((1 << 53) - 1)) as i64 as f64 * (1.0 / 9_007_199_254_740_992.0)
}

multiversion! {
    unsafe fn map_words[T, F: Fn(u32) -> T](out: *mut T, words: *const u32, count: usize, f: &F) {
        for i in 0..count {
            // SAFETY: the caller passes `count` of both.
            unsafe { out.add(i).write(f(*words.add(i))) };
        }
    }
}

multiversion! {
    unsafe fn map_pairs[T, F: Fn(u64) -> T](out: *mut T, words: *const u32, count: usize, f: &F) {
        for i in 0..count {
            // SAFETY: the caller passes `count` elements and twice as many words.
            unsafe {
                let (high, low) = (*words.add(2 * i), *words.add(2 * i + 1));
                out.add(i).write(f((u64::from(high) << 32) | u64::from(low)));
            }
        }
    }
}

multiversion! {
    /// The next state, and its words.
    unsafe fn next_words[](state: *mut [u32; N], words: *mut [u32; N]) {
        // SAFETY: the caller passes valid, distinct pointers.
        unsafe {
            twist(&mut *state);
            temper(&*state, &mut *words);
        }
    }
}

/// Replaces the state by the next one. Each loop reads only what it has not yet written or what lies more than
/// a vector behind, so it vectorises.
#[inline(always)]
fn twist(s: &mut [u32; N]) {
    let mix = |u: u32, v: u32| {
        let bits = (u & 0x8000_0000) | (v & 0x7fff_ffff);
        (bits >> 1) ^ (0x9908_b0df & (v & 1).wrapping_neg())
    };
    for i in 0..N - M {
        s[i] = s[i + M] ^ mix(s[i], s[i + 1]);
    }
    for i in N - M..N - 1 {
        s[i] = s[i + M - N] ^ mix(s[i], s[i + 1]);
    }
    s[N - 1] = s[M - 1] ^ mix(s[N - 1], s[0]);
}

#[inline(always)]
fn temper(state: &[u32; N], words: &mut [u32; N]) {
    for (word, &s) in words.iter_mut().zip(state) {
        let y = s ^ (s >> 11);
        let y = y ^ ((y << 7) & 0x9d2c_5680);
        let y = y ^ ((y << 15) & 0xefc6_0000);
        *word = y ^ (y >> 18);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_mt19937() {
        let mut generator = Generator::new(5489);
        assert_eq!(generator.next_u32(), 3_499_211_612);
        let tenth_thousand = (1..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(tenth_thousand, Some(4_123_659_995));
    }

    #[test]
    fn blocks_and_single_draws_agree() {
        for length in [1, 7, N - 1, N, N + 1, 3 * N + 5] {
            let (mut one, mut many) = (Generator::new(1), Generator::new(1));
            one.next_u32();
            many.next_u32();
            let mut words = vec![0; length];
            many.map_u64(&mut words, |w| w);
            assert!(words.into_iter().all(|w| w == one.next_u64()));
            assert_eq!(many.save(), one.save());
        }
    }

    #[test]
    fn a_saved_state_goes_on() {
        let mut generator = Generator::new(3);
        generator.normal();
        let mut again = Generator::load(&generator.save()).unwrap();
        assert_eq!(generator.normal(), again.normal());
        assert_eq!(generator.next_u64(), again.next_u64());
        assert_eq!(Generator::load(&[0; 3]).err(), Some(StateError::Size(3)));
        assert_eq!(
            Generator::load(&[0; STATE_BYTES]).err(),
            Some(StateError::Invalid)
        );
    }
}
