//! An object storage on loopback: the S3 server of moto, from the package `moto[server]`. Its objects are in memory.
//!
//! An address is a bucket, a slash and the key of an object: what follows `s3a://` in an address of an engine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ureq::Agent;

use crate::engines::{Group, free_port, program};

/// Time limit for an answer.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Maximum size of a fetched object in bytes.
const LARGEST: u64 = 1 << 30;
/// The signature of the tests' requests. moto does not check it before [`StorageServer::check_keys`].
const SIGNATURE: &str =
    "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A running S3 server.
pub struct StorageServer {
    group: Group,
    port: u16,
    client: Agent,
}

#[expect(clippy::unwrap_used, reason = "a test whose storage fails has failed")]
impl StorageServer {
    /// Starts a server without buckets. `None`, with a message, if it is not installed.
    pub fn start() -> Option<Self> {
        let server = program("moto_server", "moto[server] from PyPI")?;
        let port = free_port();
        let mut command = Command::new(server);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let group = Group::start(&command);
        group.wait_for(port);
        let client = Agent::config_builder().timeout_global(Some(TIME_LIMIT)).build().into();
        Some(Self { group, port, client })
    }

    /// Returns the environment variables with which an engine reaches this server.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url("")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "tester".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "sesame-2718".to_owned()),
        ]
    }

    /// Creates a bucket; nothing changes if it exists.
    pub fn create_bucket(&self, bucket: &str) {
        self.put(bucket, &[]);
    }

    /// Stores an object, and replaces an earlier one at this address.
    pub fn put(&self, address: &str, content: &[u8]) {
        self.client.put(self.url(address)).header("authorization", SIGNATURE).send(content).unwrap();
    }

    /// Stores every file below a folder of this machine.
    pub fn upload(&self, folder: &Path, address: &str) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let address = format!("{address}/{}", entry.file_name().to_str().unwrap());
            match entry.path() {
                path if path.is_dir() => self.upload(&path, &address),
                path => self.put(&address, &fs::read(path).unwrap()),
            }
        }
    }

    /// Returns the addresses and sizes of the objects whose addresses begin with `prefix`, at most a thousand.
    pub fn objects(&self, prefix: &str) -> Vec<(String, u64)> {
        let (bucket, key) = prefix.split_once('/').unwrap_or((prefix, ""));
        let url = format!("{}?list-type=2&prefix={}", self.url(bucket), encoded(key));
        let list = String::from_utf8(self.get(&url)).unwrap();
        let field = |object: &str, name: &str| {
            let (_, rest) = object.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        let object = |object| (format!("{bucket}/{}", field(object, "Key")), field(object, "Size").parse().unwrap());
        list.split("<Contents>").skip(1).map(object).collect()
    }

    /// Copies the objects whose addresses begin with `prefix` into a folder of this machine.
    pub fn download(&self, prefix: &str, folder: &Path) {
        for (address, _) in self.objects(prefix) {
            let path = folder.join(&address);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, self.get(&self.url(&address))).unwrap();
        }
    }

    /// Makes the server check the keys of all later requests. It knows none, so it refuses every request.
    pub fn check_keys(&self) {
        self.client.post(self.url("moto-api/reset-auth")).send("0").unwrap();
    }

    /// Sends SIGSTOP to the server: it accepts connections and does not answer.
    pub fn freeze(&self) {
        self.group.signal("STOP");
    }

    /// Sends SIGCONT to the server after [`StorageServer::freeze`].
    pub fn thaw(&self) {
        self.group.signal("CONT");
    }

    fn get(&self, url: &str) -> Vec<u8> {
        let mut answer = self.client.get(url).header("authorization", SIGNATURE).call().unwrap();
        answer.body_mut().with_config().limit(LARGEST).read_to_vec().unwrap()
    }

    fn url(&self, address: &str) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, encoded(address))
    }
}

/// Encodes an address for a URL.
fn encoded(address: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    address.bytes().map(encode).collect()
}
