//! The worker threads behind [`super::pool`]: loops whose tasks a caller shares with them.
//!
//! Waking a thread takes longer than many loops. So the caller starts at once and never waits for a worker that has
//! not begun, a worker that ran out of work looks for more for a moment before it sleeps, and a caller can ask
//! whether anybody is awake before it decides how much work is worth sharing.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a worker looks for work, and a caller for the end of its loop, before they sleep: a few times what it takes
/// to wake them.
const PATIENCE: Duration = Duration::from_micros(100);
/// Pauses between two looks at the clock.
const PAUSES: usize = 64;

/// Runs the task of a number.
pub type Body<'a> = &'a (dyn Fn(usize) + Sync);

/// Parts of the state: which loop it is, whether it may be joined, and how many have joined it.
const NUMBER: u64 = 1 << 32;
const OPEN: u64 = 1 << 31;
const JOINED: u64 = OPEN - 1;

/// Threads that help with loops, one loop at a time.
pub struct Crew {
    state: AtomicU64,
    /// Written by the caller while nobody has joined and nobody can.
    current: UnsafeCell<Option<Loop>>,
    /// The caller's, then those of the workers.
    seats: Vec<Seat>,
    workers: OnceLock<Vec<Thread>>,
    /// Held by the thread whose loop runs.
    turn: Mutex<()>,
    /// What stopped a worker's task.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `current` is read by those who have joined, for whom the caller waits before it is written again.
unsafe impl Sync for Crew {}
// SAFETY: the pointer in `current` is followed by those who have joined only.
unsafe impl Send for Crew {}

/// A thread's place in a loop, with the tasks that it begins with. Others take over what is left of them.
#[repr(align(128))]
#[derive(Default)]
struct Seat {
    next: AtomicUsize,
    end: AtomicUsize,
    asleep: AtomicBool,
}

#[derive(Clone)]
struct Loop {
    /// Lives on the stack of the caller, which waits for everybody who has joined.
    body: *const (dyn Fn(usize) + Sync),
    seats: usize,
    /// Are sleepers to be woken?
    wakes: bool,
    caller: Thread,
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Is this thread in a task of a loop? What that starts is its own alone.
#[inline]
pub fn is_busy() -> bool {
    BUSY.get()
}

impl Crew {
    /// A crew of as many of the workers as can be had.
    pub fn of(workers: usize) -> &'static Crew {
        let crew: &'static Crew = Box::leak(Box::new(Crew {
            state: AtomicU64::new(0),
            current: UnsafeCell::new(None),
            seats: (0..=workers).map(|_| Seat::default()).collect(),
            workers: OnceLock::new(),
            turn: Mutex::new(()),
            panic: Mutex::new(None),
        }));
        let start = |seat| {
            let named = std::thread::Builder::new().name(format!("rtensor-{seat}"));
            let started = named.spawn(move || crew.serve(seat)).ok()?;
            Some(started.thread().clone())
        };
        crew.workers
            .get_or_init(|| (1..=workers).map_while(start).collect());
        crew
    }

    fn workers(&self) -> &[Thread] {
        self.workers.get().map_or(&[], Vec::as_slice)
    }

    /// Threads that a loop can have, its caller among them.
    pub fn seats(&self) -> usize {
        self.workers().len() + 1
    }

    /// Would any worker see a loop of so many seats without being woken?
    pub fn is_awake(&self, seats: usize) -> bool {
        let mut workers = self.seats[1..seats].iter();
        workers.any(|seat| !seat.asleep.load(Relaxed))
    }

    /// Runs `body` for each task on up to `seats` threads; `false` if the crew has another caller.
    pub fn run(&self, tasks: usize, seats: usize, wakes: bool, body: Body) -> bool {
        let Some(_turn) = self.turn.try_lock() else {
            return false;
        };
        for (i, seat) in self.seats[..seats].iter().enumerate() {
            seat.next.store(tasks * i / seats, Relaxed);
            seat.end.store(tasks * (i + 1) / seats, Relaxed);
        }
        let now = Loop {
            // SAFETY: only the lifetime changes; who follows the pointer has left before this returns.
            body: unsafe { std::mem::transmute::<Body, Body<'static>>(body) },
            seats,
            wakes,
            caller: std::thread::current(),
        };
        // SAFETY: the loop before was closed and left by all, and the turn is this thread's.
        unsafe { *self.current.get() = Some(now.clone()) };
        let before = self.state.load(Relaxed);
        self.state.store(before.wrapping_add(NUMBER) | OPEN, SeqCst);
        BUSY.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take_part(0, &now)));
        BUSY.set(false);
        self.state.fetch_and(!OPEN, AcqRel);
        self.wait_for_all();
        if let Some(panic) = outcome.err().or_else(|| self.panic.lock().take()) {
            resume_unwind(panic);
        }
        true
    }

    /// Runs the tasks of a seat, then what is left of those of others.
    fn take_part(&self, seat: usize, now: &Loop) {
        if now.wakes {
            // Whoever is awake wakes two more.
            let next = (2 * seat + 1)..(2 * seat + 3).min(now.seats);
            next.for_each(|seat| self.wake(seat));
        }
        // SAFETY: this thread has joined, so that the caller keeps the body alive.
        let body = unsafe { &*now.body };
        for i in 0..now.seats {
            let from = &self.seats[(seat + i) % now.seats];
            let end = from.end.load(Relaxed);
            while from.next.load(Relaxed) < end {
                let task = from.next.fetch_add(1, Relaxed);
                if task < end {
                    body(task);
                }
            }
        }
    }

    fn wake(&self, seat: usize) {
        if self.seats[seat].asleep.load(SeqCst) {
            self.workers()[seat - 1].unpark();
        }
    }

    /// Waits until everybody has left a closed loop.
    fn wait_for_all(&self) {
        let joined = || self.state.load(Acquire) & JOINED != 0;
        let start = Instant::now();
        while joined() {
            if start.elapsed() < PATIENCE {
                std::hint::spin_loop();
            } else {
                std::thread::park();
            }
        }
    }

    /// The life of a worker.
    fn serve(&self, seat: usize) {
        BUSY.set(true);
        let mut seen = 0;
        let mut since = Instant::now();
        loop {
            if self.join(seat, &mut seen) {
                since = Instant::now();
            } else if since.elapsed() < PATIENCE {
                (0..PAUSES).for_each(|_| std::hint::spin_loop());
            } else {
                self.sleep(seat, seen);
                since = Instant::now();
            }
        }
    }

    /// Takes part in the loop that is open, unless it was `seen`.
    fn join(&self, seat: usize, seen: &mut u64) -> bool {
        let mut state = self.state.load(Acquire);
        loop {
            if !is_new(state, *seen) {
                return false;
            }
            match self
                .state
                .compare_exchange_weak(state, state + 1, AcqRel, Acquire)
            {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        *seen = state / NUMBER;
        // SAFETY: this thread has joined.
        if let Some(now) = unsafe { (*self.current.get()).clone() } {
            if seat < now.seats
                && let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.take_part(seat, &now)))
            {
                *self.panic.lock() = Some(panic);
            }
            if self.state.fetch_sub(1, AcqRel) & (OPEN | JOINED) == 1 {
                now.caller.unpark();
            }
        }
        true
    }

    fn sleep(&self, seat: usize, seen: u64) {
        let asleep = &self.seats[seat].asleep;
        asleep.store(true, SeqCst);
        if !is_new(self.state.load(SeqCst), seen) {
            std::thread::park();
        }
        asleep.store(false, SeqCst);
    }
}

/// Is there a loop to join that is not the one of this number?
fn is_new(state: u64, seen: u64) -> bool {
    state & OPEN != 0 && state / NUMBER != seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        let crew = Crew::of(3);
        for tasks in [1, 2, 7, 100, 3000] {
            for wakes in [false, true] {
                let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                assert!(crew.run(tasks, crew.seats(), wakes, &|task| {
                    runs[task].fetch_add(1, Relaxed);
                    std::thread::yield_now();
                }));
                assert!(runs.iter().all(|count| count.load(Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_crew_goes_on() {
        let crew = Crew::of(2);
        for bad in [0, 50, 99] {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                crew.run(100, crew.seats(), true, &|task| {
                    assert!(task != bad, "task");
                });
            }));
            assert!(caught.is_err());
        }
        assert!(crew.run(10, crew.seats(), true, &|_| assert!(is_busy())));
        assert!(!is_busy());
    }

    #[test]
    fn a_second_caller_is_sent_away() {
        let crew = Crew::of(1);
        let ran = AtomicUsize::new(0);
        crew.run(1, 1, false, &|_| {
            ran.fetch_add(1, Relaxed);
            assert!(!crew.run(1, 1, false, &|_| unreachable!("the crew has a caller")));
        });
        assert_eq!(ran.load(Relaxed), 1);
    }
}
