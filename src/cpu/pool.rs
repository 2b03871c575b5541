//! How work is spread over threads: everything that runs in parallel goes through [`parallel_for`] or asks
//! [`threads`]. Its loops are shared with the threads of [`super::crew`]; libraries that bring loops of their own
//! run on a pool of rayon's ([`run_inside`]).

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::crew::{self, Crew};

/// How much work one task must have before a second thread pays, per family.
pub mod grain {
    /// Elements of a memory-bound loop: copies, `add`, comparisons.
    pub const POINTWISE: usize = 32 * 1024;
    /// Elements copied or converted.
    pub const COPY: usize = 64 * 1024;
    /// Elements of a loop over transcendental functions.
    pub const MATH: usize = 8 * 1024;
    /// Elements read by a reduction or a scan.
    pub const REDUCE: usize = 32 * 1024;
    /// Elements moved by gathers, scatters and strided copies.
    pub const INDEX: usize = 16 * 1024;
    /// Elements sorted.
    pub const SORT: usize = 8 * 1024;
    /// Multiply-adds of a matrix product or a convolution.
    pub const GEMM: usize = 256 * 1024;
    /// Floating-point operations of a decomposition.
    pub const LINALG: usize = 128 * 1024;
}

/// Tasks per thread of long loops: enough that a thread that lost its core does not hold up the rest.
const TASKS_PER_THREAD: usize = 8;
/// Grains of work that are worth waking a thread for; a thread that is awake helps with less.
const WORTH_WAKING: usize = 6;
/// Grains done alone while others slept, after which one is woken for a smaller loop, too: more like it will come.
const WORTH_CALLING: usize = 32;
/// Where items are elements, tasks start at cache lines, whatever the elements.
const LINE: usize = 64;

/// Threads in use; 0 until the first question.
static THREADS: AtomicUsize = AtomicUsize::new(0);
static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();

/// The number of threads that a kernel may use.
#[inline]
pub fn threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => first_threads(),
        n => n,
    }
}

/// Sets the number of threads; never more than there are cores, or were asked for at first, run at once.
pub fn set_num_threads(n: usize) {
    most_threads();
    THREADS.store(n.max(1), Relaxed);
}

#[cold]
fn first_threads() -> usize {
    let n = default_threads();
    match THREADS.compare_exchange(0, n, Relaxed, Relaxed) {
        Ok(_) => n,
        Err(set) => set,
    }
}

fn default_threads() -> usize {
    ["RTENSOR_NUM_THREADS", "OMP_NUM_THREADS"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.trim().parse().ok())
        .filter(|&n| n > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// How many threads there may ever be: the cores, or what was asked for before the first loop.
fn most_threads() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        stop_at_fork();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cores.max(threads())
    })
}

/// The pool for other libraries' loops, or `None` where no thread can be had. The main thread is a member: it starts
/// work without waking anybody.
fn pool() -> Option<&'static rayon::ThreadPool> {
    POOL.get_or_init(build).as_ref()
}

fn build() -> Option<rayon::ThreadPool> {
    let builder = rayon::ThreadPoolBuilder::new()
        .num_threads(most_threads())
        .thread_name(|i| format!("rtensor-rayon-{i}"));
    let builder = if is_main_thread() {
        builder.use_current_thread()
    } else {
        builder
    };
    builder.build().ok()
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: both calls take nothing and cannot fail.
    unsafe { libc::gettid() == libc::getpid() }
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    std::thread::current().name() == Some("main")
}

#[cfg(unix)]
fn stop_at_fork() {
    extern "C" fn child() {
        THREADS.store(1, Relaxed);
        FORKED.store(1, Relaxed);
    }
    // SAFETY: the handler only stores to atomics, which is allowed in a forked child.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

#[cfg(not(unix))]
fn stop_at_fork() {}

/// 1 in a child forked after the pool was built: its workers do not exist there.
static FORKED: AtomicUsize = AtomicUsize::new(0);

type Body<'a> = &'a (dyn Fn(Range<usize>) + Sync);

/// Runs `body` over disjoint ranges that cover `0..n`, each of at least `grain` items where possible.
#[inline]
pub fn parallel_for(n: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) {
    let grains = match grain {
        // Nobody knows how much work such an item is.
        0 | 1 => n.max(WORTH_WAKING),
        _ => n.div_ceil(grain),
    };
    // A virtual call per range, so that the machinery is compiled once and not per kernel.
    spread(n, grains, &body);
}

/// As [`parallel_for`] over items that are about a grain of work each.
#[inline]
pub fn parallel_parts(n: usize, body: impl Fn(Range<usize>) + Sync) {
    spread(n, n, &body);
}

fn spread(n: usize, grains: usize, body: Body) {
    if n > 0 && (n == 1 || grains == 1 || !share(n, grains, body)) {
        body(0..n);
    }
}

/// Shares the loop with other threads; `false` where that would not pay, or nobody is there.
fn share(n: usize, grains: usize, body: Body) -> bool {
    static CREW: OnceLock<&'static Crew> = OnceLock::new();
    let seats = threads().min(n.min(grains));
    if seats < 2 || crew::is_busy() {
        return false;
    }
    let crew = CREW.get_or_init(|| Crew::of(most_threads() - 1));
    let seats = seats.min(crew.seats());
    let awake = seats > 1 && crew.is_awake(seats);
    let wakes = grains >= WORTH_WAKING || (!awake && is_burst(grains));
    if seats < 2 || !(awake || wakes) {
        return false;
    }
    let tasks = n.min(grains).min(seats * TASKS_PER_THREAD);
    crew.run(tasks, seats, wakes, &|task| body(part(n, tasks, task)))
}

/// Have there been many loops lately for which nobody was woken?
fn is_burst(grains: usize) -> bool {
    static ALONE: AtomicUsize = AtomicUsize::new(0);
    let alone = ALONE.load(Relaxed) + grains;
    let burst = alone >= WORTH_CALLING;
    ALONE.store(if burst { 0 } else { alone }, Relaxed);
    burst
}

/// Task `i` of `tasks` covers about the items `n * i / tasks .. n * (i + 1) / tasks`.
fn part(n: usize, tasks: usize, i: usize) -> Range<usize> {
    let aligned = n / tasks >= 16 * LINE;
    let bound = |i: usize| {
        let at = (n as u128 * i as u128 / tasks as u128) as usize;
        if aligned && i < tasks {
            at & !(LINE - 1)
        } else {
            at
        }
    };
    bound(i)..bound(i + 1)
}

/// Runs `work` on a thread of the pool, so that rayon's calls in it use that pool.
pub fn run_inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) if rayon::current_thread_index().is_none() && FORKED.load(Relaxed) == 0 => {
            pool.install(work)
        }
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for (n, grain) in [(0, 1), (1, 1), (7, 3), (1000, 10), (100_000, 1)] {
            let seen: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
            parallel_for(n, grain, |range| {
                for i in range {
                    seen[i].fetch_add(1, Relaxed);
                }
            });
            assert!(
                seen.iter().all(|count| count.load(Relaxed) == 1),
                "n={n} grain={grain}"
            );
        }
    }
}
