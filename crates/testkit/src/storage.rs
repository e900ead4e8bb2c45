//! An object storage on loopback: the S3 server of moto, from the package `moto[server]`. Its objects are in memory.
//!
//! An address is a bucket, a slash and the key of an object: what follows `s3a://` in an address of an engine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ureq::Agent;

use crate::engines::{Engine, EngineServer, Group, free_port, program};
use crate::skipped;

/// Time limit for an answer.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Maximum size of a fetched object in bytes.
const LARGEST: u64 = 1 << 30;
/// The access key of the engines.
const KEY: &str = "tester";
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
    /// The secret key of the engines. The text is distinctive, so that a leak can be found anywhere.
    pub const SECRET: &str = "sesame-2718";

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

    /// Starts an engine that reaches this server. `None`, with a message, if it is not installed.
    pub fn engine(&self, engine: Engine) -> Option<EngineServer> {
        let url = format!("http://127.0.0.1:{}", self.port);
        match engine {
            Engine::Sail => {
                let environment = [
                    ("AWS_ENDPOINT_URL", url.as_str()),
                    ("AWS_ALLOW_HTTP", "true"),
                    ("AWS_REGION", "us-east-1"),
                    ("AWS_ACCESS_KEY_ID", KEY),
                    ("AWS_SECRET_ACCESS_KEY", Self::SECRET),
                ];
                EngineServer::sail(&environment)
            }
            Engine::Spark => {
                let prefix = "spark.hadoop.fs.s3a";
                let settings = [
                    format!("spark.jars={}", connector()?),
                    format!("{prefix}.endpoint={url}"),
                    format!("{prefix}.path.style.access=true"),
                    format!("{prefix}.access.key={KEY}"),
                    format!("{prefix}.secret.key={}", Self::SECRET),
                    // The connector is older than Spark's Hadoop and does not understand its default values.
                    format!("{prefix}.aws.credentials.provider=org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"),
                    format!("{prefix}.threads.keepalivetime=60"),
                    format!("{prefix}.connection.establish.timeout=30000"),
                    format!("{prefix}.connection.timeout=200000"),
                    format!("{prefix}.multipart.purge.age=86400"),
                ];
                EngineServer::spark("local[2]", &settings.each_ref().map(String::as_str))
            }
        }
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

/// Returns the files of Spark's connector for S3, separated by commas. `None`, with a message, if the package that
/// contains them is not installed beside Spark.
fn connector() -> Option<String> {
    let spark = program("spark-submit", "pyspark from PyPI")?;
    let environment = spark.ancestors().nth(2)?;
    let folders = fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
    let mut folders = folders.map(|python| python.path().join("site-packages/sagemaker_pyspark/jars"));
    let Some(folder) = folders.find(|folder| folder.is_dir()) else {
        skipped("Spark's connector for S3 is not installed (sagemaker-pyspark from PyPI, with pip's option --no-deps)");
        return None;
    };
    let jars = ["hadoop-aws-3.3.1.jar", "aws-java-sdk-bundle-1.11.901.jar"];
    Some(jars.map(|jar| folder.join(jar).display().to_string()).join(","))
}

/// Encodes an address for a URL.
fn encoded(address: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    address.bytes().map(encode).collect()
}
