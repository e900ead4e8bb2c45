//! TLS on loopback: private certificate authorities, the certificates that they issue, and a terminator that decrypts
//! connections to a server.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::engines::{Group, free_port, program};

/// The names of this machine in a certificate.
pub const THIS_MACHINE: &str = "DNS:localhost,IP:127.0.0.1";

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub enum Validity {
    /// From yesterday to tomorrow.
    Now,
    /// One day, years ago.
    Past,
    /// One day, years from now.
    Future,
}

/// A private certificate authority.
pub struct Authority {
    folder: TempDir,
}

const SETTINGS: &str = "
[req]
distinguished_name = nothing
x509_extensions = authority
[nothing]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[ca]
default_ca = this
[this]
database = issued
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
";

/// Argument: the authority's name.
const CREATE: &str = "
touch issued
openssl req -x509 -config settings -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 \
  -subj \"/CN=$1\" -keyout ca.key -out ca.pem
cat ca.pem ca.key >ca-with-key.pem";

/// Arguments: the certificate's file, its names, and the options for its validity.
const ISSUE: &str = "
file=$1 names=$2; shift 2
openssl req -new -config settings -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc \
  -subj /CN=server -addext \"subjectAltName=$names\" -keyout $file.key -out $file.csr
openssl ca -batch -notext -config settings -cert ca.pem -keyfile ca.key -in $file.csr -out $file.crt \"$@\"
cat $file.crt $file.key >$file";

#[expect(clippy::unwrap_used, reason = "a test that cannot make its certificates has failed")]
impl Authority {
    /// Creates an authority with a name. `None`, with a message, if openssl is not installed.
    pub fn new(name: &str) -> Option<Self> {
        program("openssl", "openssl")?;
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(authority.folder.path().join("settings"), SETTINGS).unwrap();
        authority.shell(CREATE, &[name]);
        Some(authority)
    }

    /// Returns the file with the authority's certificate.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Returns a file with the authority's certificate and its key, which a server must not use as its own.
    pub fn with_key(&self) -> PathBuf {
        self.folder.path().join("ca-with-key.pem")
    }

    /// Issues a certificate for `names`, in the syntax of openssl. Returns a file with it and its key.
    pub fn issue(&self, names: &str, validity: Validity) -> PathBuf {
        let file = format!("{}.pem", fs::read_dir(self.folder.path()).unwrap().count());
        let validity: &[&str] = match validity {
            Validity::Now => &["-days", "2"],
            Validity::Past => &["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
            Validity::Future => &["-startdate", "20990101000000Z", "-enddate", "20990102000000Z"],
        };
        self.shell(ISSUE, &[&[file.as_str(), names], validity].concat());
        self.folder.path().join(file)
    }

    fn shell(&self, script: &str, arguments: &[&str]) {
        let mut shell = Command::new("sh");
        let output = shell.args(["-euc", script, "sh"]).args(arguments).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// HAProxy, which accepts TLS and passes the decrypted bytes to a server on this machine.
pub struct Terminator {
    port: u16,
    server: u16,
    settings: TempDir,
    process: Option<Group>,
}

#[expect(clippy::unwrap_used, reason = "a test that cannot start its terminator has failed")]
impl Terminator {
    /// Starts a terminator with a certificate before the server at a port. `None`, with a message, if HAProxy is not
    /// installed.
    pub fn start(certificate: &Path, server: u16) -> Option<Self> {
        program("haproxy", "haproxy")?;
        let mut terminator = Self { port: free_port(), server, settings: tempfile::tempdir().unwrap(), process: None };
        terminator.restart(certificate, "alpn h2");
        Some(terminator)
    }

    /// Ends the terminator and starts it at the same port with another certificate, and with other options than
    /// `alpn h2`.
    pub fn restart(&mut self, certificate: &Path, options: &str) {
        self.process = None;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
            thread::sleep(Duration::from_millis(10)); // the killed process needs a moment to end
        }
        let certificate = certificate.display();
        let settings = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
             listen tls\n bind 127.0.0.1:{} ssl crt {certificate} {options}\n server decrypted 127.0.0.1:{}\n",
            self.port, self.server
        );
        let file = self.settings.path().join("haproxy.cfg");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(program("haproxy", "haproxy").unwrap());
        command.arg("-db").arg("-f").arg(file);
        let process = Group::start(&command);
        process.wait_for(self.port);
        self.process = Some(process);
    }

    /// Returns the URL of the terminator, with `host` as the name of this machine.
    pub fn url(&self, host: &str) -> String {
        format!("sc://{host}:{}", self.port)
    }
}
