//! Faulty networks: a proxy on loopback that cuts every connection after a number of bytes, and one that can be
//! interrupted for a while.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A proxy that forwards bytes to a server, and cuts each connection after a different number of bytes.
pub struct CuttingProxy {
    port: u16,
    cuts: Arc<AtomicU64>,
}

#[expect(clippy::unwrap_used, reason = "a machine without a free port runs no test")]
impl CuttingProxy {
    /// Starts a proxy for the server at `port`. Each connection is cut after fewer than `most` bytes of the answer,
    /// with a different number for each connection. The same `seed` gives the same numbers.
    pub fn start(port: u16, most: u64, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let cuts = Arc::<AtomicU64>::default();
        let counted = cuts.clone();
        // The thread ends with the test's process.
        thread::spawn(move || {
            let mut state = seed;
            for client in listener.incoming().flatten() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let allowed = (state >> 33) % most;
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                let counted = counted.clone();
                thread::spawn(move || pass(from, to, u64::MAX));
                thread::spawn(move || {
                    if pass(server, client, allowed) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { port: own_port, cuts }
    }

    /// Returns the proxy's address in the format of a Spark Connect server's.
    pub fn url(&self) -> String {
        format!("sc://127.0.0.1:{}", self.port)
    }

    /// Returns the number of connections that have been cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Forwards at most `allowed` bytes, then closes both connections; returns whether the limit was reached.
fn pass(mut from: TcpStream, mut to: TcpStream, mut allowed: u64) -> bool {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let passed = allowed.min(read as u64);
        allowed -= passed;
        if to.write_all(&buffer[..passed as usize]).is_err() || allowed == 0 {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    allowed == 0
}

/// A network to a server that can be interrupted: nothing is lost, but nothing arrives until it is there again.
pub struct Network {
    port: u16,
    interrupted: Arc<AtomicBool>,
}

#[expect(clippy::unwrap_used, reason = "a machine without a free port runs no test")]
impl Network {
    /// Starts a network to the server at `port`.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let interrupted = Arc::<AtomicBool>::default();
        let state = interrupted.clone();
        // The threads end with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                for (from, to) in [(from, to), (server, client)] {
                    let state = state.clone();
                    thread::spawn(move || pass_unless(&state, from, to));
                }
            }
        });
        Self { port: own_port, interrupted }
    }

    /// Returns the address of the server behind this network.
    pub fn url(&self) -> String {
        format!("sc://127.0.0.1:{}", self.port)
    }

    /// Interrupts the network for `pause`, while the calling thread waits.
    pub fn interrupt(&self, pause: Duration) {
        self.interrupted.store(true, Ordering::Relaxed);
        thread::sleep(pause);
        self.interrupted.store(false, Ordering::Relaxed);
    }
}

/// Forwards bytes, but none while the network is interrupted.
fn pass_unless(interrupted: &AtomicBool, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while interrupted.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
