//! The tile instructions of AMX, carried out by a handler of SIGILL where the machine has none, so that tests run the
//! very code that a machine with AMX runs.
//!
//! Encodings and operations are those of the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. What
//! it forbids (a tile that is not configured, sizes that do not agree, an unknown instruction) ends the process, as the
//! machine would.

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};

/// Products that the handler computed.
pub static PRODUCTS: AtomicUsize = AtomicUsize::new(0);
/// Threads whose tiles are configured.
pub static CONFIGURED: AtomicIsize = AtomicIsize::new(0);

const ROWS: usize = 16;
const ROW_BYTES: usize = 64;

struct State {
    configured: bool,
    rows: [usize; 8],
    row_bytes: [usize; 8],
    tiles: [[[u32; ROW_BYTES / 4]; ROWS]; 8],
}

const INITIAL: State = State {
    configured: false,
    rows: [0; 8],
    row_bytes: [0; 8],
    tiles: [[[0; ROW_BYTES / 4]; ROWS]; 8],
};

thread_local! {
    static STATE: UnsafeCell<State> = const { UnsafeCell::new(INITIAL) };
}

/// Lets the tile instructions work in this process.
pub fn install() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // SAFETY: the handler touches nothing but its thread's state and what the instruction names.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(
                libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()),
                0
            );
        }
    });
}

extern "C" fn handle(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the context; nothing else on this thread uses the state meanwhile.
    unsafe {
        let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize] as *const u8;
        let length = STATE.with(|state| {
            let decoded = Decoded::read(at, registers)?;
            decoded.execute(&mut *state.get())?;
            Some(decoded.length)
        });
        match length {
            Some(length) => registers[libc::REG_RIP as usize] += length as i64,
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

/// An instruction with a three-byte VEX prefix.
struct Decoded {
    opcode: u8,
    /// The prefix that is implied: 1 for 66, 2 for F3, 3 for F2.
    prefix: u8,
    /// ModRM's fields, and the register of the prefix.
    mode: u8,
    reg: usize,
    rm: usize,
    vvvv: usize,
    address: usize,
    /// What the index register of the address holds: the distance between rows.
    stride: usize,
    length: usize,
}

impl Decoded {
    unsafe fn read(at: *const u8, registers: &[i64; 23]) -> Option<Self> {
        // SAFETY: the bytes of an instruction that was to be executed.
        let byte = |i: usize| unsafe { *at.add(i) };
        let map_and_high_bits = byte(1);
        if byte(0) != 0xc4 || map_and_high_bits & 0x1f != 2 || byte(2) & 0x84 != 0 {
            return None;
        }
        let modrm = byte(4);
        let mut decoded = Decoded {
            opcode: byte(3),
            prefix: byte(2) & 3,
            mode: modrm >> 6,
            reg: usize::from(modrm >> 3 & 7),
            rm: usize::from(modrm & 7),
            vvvv: usize::from(!byte(2) >> 3 & 15),
            address: 0,
            stride: 0,
            length: 5,
        };
        // The tile in `reg` has three bits; those of the base and of the index are extended.
        let (base_high, index_high) = (!map_and_high_bits >> 5 & 1, !map_and_high_bits >> 6 & 1);
        if map_and_high_bits & 0x80 == 0 {
            return None;
        }
        if decoded.mode != 3 {
            // SAFETY: as above.
            unsafe { decoded.find(at, registers, (base_high, index_high))? };
        }
        Some(decoded)
    }

    /// Finds the address and the stride: base, index and displacement, each of which may be missing.
    unsafe fn find(
        &mut self,
        at: *const u8,
        registers: &[i64; 23],
        (base_high, index_high): (u8, u8),
    ) -> Option<()> {
        let register =
            |low: u8, high: u8| registers[ORDER[usize::from(high << 3 | low)] as usize] as usize;
        let mut base = (self.rm != 5 || self.mode != 0).then_some(self.rm as u8);
        if self.rm == 4 {
            // SAFETY: the caller's promise.
            let sib = unsafe { *at.add(self.length) };
            self.length += 1;
            base = (sib & 7 != 5 || self.mode != 0).then_some(sib & 7);
            let index = sib >> 3 & 7;
            if index != 4 || index_high == 1 {
                self.stride = register(index, index_high) << (sib >> 6);
            }
        }
        let wide = self.mode == 2 || (self.mode == 0 && base.is_none());
        // SAFETY: the caller's promise.
        let displacement = unsafe {
            match (wide, self.mode) {
                (true, _) => at.add(self.length).cast::<i32>().read_unaligned() as isize,
                (_, 1) => at.add(self.length).cast::<i8>().read() as isize,
                _ => 0,
            }
        };
        self.length += if wide { 4 } else { usize::from(self.mode == 1) };
        let start = match base {
            Some(base) => register(base, base_high),
            None if self.rm == 4 => 0,
            None => at as usize + self.length,
        };
        self.address = start.wrapping_add_signed(displacement);
        Some(())
    }

    unsafe fn execute(&self, state: &mut State) -> Option<()> {
        // SAFETY: the caller runs what the program was to run.
        unsafe {
            match (self.opcode, self.prefix, self.mode == 3) {
                (0x49, 0, false) => state.configure(self.address as *const [u8; 64]),
                (0x49, 0, true) => {
                    CONFIGURED.fetch_sub(isize::from(state.configured), SeqCst);
                    *state = INITIAL;
                    Some(())
                }
                (0x49, 3, true) => {
                    *state.tile(self.reg)? = INITIAL.tiles[0];
                    Some(())
                }
                (0x4b, 1 | 3, false) if self.rm == 4 => state.load(self),
                (0x4b, 2, false) if self.rm == 4 => state.store(self),
                (0x5c, 2, true) => state.multiply(self.reg, self.rm, self.vvvv),
                _ => None,
            }
        }
    }
}

/// Where a context has the registers, in the order of their numbers.
const ORDER: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl State {
    /// LDTILECFG, of palette 1.
    unsafe fn configure(&mut self, from: *const [u8; 64]) -> Option<()> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { *from };
        let reserved = bytes[1..16]
            .iter()
            .chain(&bytes[32..48])
            .chain(&bytes[56..]);
        if bytes[0] != 1 || reserved.into_iter().any(|&byte| byte != 0) {
            return None;
        }
        CONFIGURED.fetch_add(isize::from(!self.configured), SeqCst);
        *self = INITIAL;
        self.configured = true;
        for tile in 0..8 {
            self.rows[tile] = usize::from(bytes[48 + tile]);
            self.row_bytes[tile] = usize::from(u16::from_le_bytes([
                bytes[16 + 2 * tile],
                bytes[17 + 2 * tile],
            ]));
        }
        let fits = self.rows.iter().all(|&rows| rows <= ROWS)
            && self
                .row_bytes
                .iter()
                .all(|&bytes| bytes <= ROW_BYTES && bytes % 4 == 0);
        fits.then_some(())
    }

    fn tile(&mut self, tile: usize) -> Option<&mut [[u32; ROW_BYTES / 4]; ROWS]> {
        (self.configured && self.rows[tile] > 0).then_some(&mut self.tiles[tile])
    }

    /// TILELOADD and TILELOADDT1.
    unsafe fn load(&mut self, from: &Decoded) -> Option<()> {
        let (rows, bytes) = (self.rows[from.reg], self.row_bytes[from.reg]);
        let tile = self.tile(from.reg)?;
        *tile = INITIAL.tiles[0];
        for (i, row) in tile[..rows].iter_mut().enumerate() {
            let start = from.address.wrapping_add(i.wrapping_mul(from.stride)) as *const u8;
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(start, row.as_mut_ptr().cast(), bytes) };
        }
        Some(())
    }

    /// TILESTORED.
    unsafe fn store(&mut self, to: &Decoded) -> Option<()> {
        let (rows, bytes) = (self.rows[to.reg], self.row_bytes[to.reg]);
        for (i, row) in self.tile(to.reg)?[..rows].iter().enumerate() {
            let start = to.address.wrapping_add(i.wrapping_mul(to.stride)) as *mut u8;
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(row.as_ptr().cast(), start, bytes) };
        }
        Some(())
    }

    /// TDPBF16PS: the products of the even and of the odd steps are summed apart, then together, then with the tile.
    unsafe fn multiply(&mut self, to: usize, left: usize, right: usize) -> Option<()> {
        PRODUCTS.fetch_add(1, SeqCst);
        let apart = to != left && to != right && left != right && right < 8;
        let agree = apart
            && self.rows[to] == self.rows[left]
            && self.row_bytes[to] == self.row_bytes[right]
            && self.row_bytes[left] == 4 * self.rows[right];
        if !agree {
            return None;
        }
        self.tile(to)?;
        let (inner, cols) = (self.rows[right], self.row_bytes[right] / 4);
        for m in 0..self.rows[to] {
            // SAFETY: the tests ask for the instruction set.
            let sums = unsafe { dot_products(&self.tiles[left][m], &self.tiles[right][..inner]) };
            for (to, sum) in self.tiles[to][m][..cols].iter_mut().zip(sums) {
                *to = flushed(flushed(f32::from_bits(*to)) + sum).to_bits();
            }
        }
        Some(())
    }
}

#[target_feature(enable = "fma")]
unsafe fn dot_products(left: &[u32; 16], right: &[[u32; 16]]) -> [f32; 16] {
    let low = |pair: u32| flushed(f32::from_bits(pair << 16));
    let high = |pair: u32| flushed(f32::from_bits(pair & 0xffff_0000));
    let mut sums = [[0.0f32; 16]; 2];
    for (&left, right) in left.iter().zip(right) {
        for (n, &right) in right.iter().enumerate() {
            sums[0][n] = flushed(low(left).mul_add(low(right), sums[0][n]));
            sums[1][n] = flushed(high(left).mul_add(high(right), sums[1][n]));
        }
    }
    std::array::from_fn(|n| flushed(sums[0][n] + sums[1][n]))
}

/// Subnormal numbers are zero, as operands and as results.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() {
        0.0f32.copysign(x)
    } else {
        x
    }
}
