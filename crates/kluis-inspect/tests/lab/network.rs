//! A network namespace for a test: the test runs itself once more inside it.

use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Set where we are inside.
const INSIDE: &str = "KLUIS_LAB_INSIDE";

/// `true` inside. Outside it runs the test `name` inside and returns `false`; a failure there is one here.
pub fn is_inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "ip link set lo up && exec \"$0\" --exact \"$1\" --nocapture --test-threads 1";
    let status = command
        .args(["sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(INSIDE, "1")
        .status()
        .expect("unshare cannot be run");
    assert!(status.success(), "{name} failed in its network");
    false
}

/// Gives the loopback interface a further address.
pub fn add_address(address: &str) {
    let status = Command::new("ip").args(["addr", "add", address, "dev", "lo"]).status().unwrap();
    assert!(status.success());
}

/// A network in which nobody but us answers: the other end of its cable has no address.
pub fn add_neighbours(address: &str) {
    let script = "ip link add near type veth peer name far && ip addr add \"$0\" dev near && ip link set near up && \
                  ip link set far up";
    assert!(Command::new("sh").args(["-c", script, address]).status().unwrap().success());
}

/// A program that ends with the test.
pub struct Program(Child);

impl Program {
    /// Starts it, its output into a file of the folder, and waits until it listens at these ports of 127.0.0.1.
    pub fn start(command: &mut Command, folder: &Path, ports: &[u16]) -> Self {
        let name = Path::new(command.get_program()).file_name().unwrap().to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.{}.log", ports.first().unwrap()));
        let file = std::fs::File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
        let mut program = Self(child.unwrap_or_else(|error| panic!("{name} cannot be run: {error}")));
        let begun = Instant::now();
        while !ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
            let ended = program.0.try_wait().unwrap();
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{name} ended: {}", said());
            assert!(begun.elapsed() < Duration::from_secs(30), "{name} does not listen: {}", said());
            pause(50);
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A short wait for another process.
#[allow(clippy::disallowed_methods, reason = "waits for another process")]
pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
