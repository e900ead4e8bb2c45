//! The remote procedure calls of Spark Connect that this crate uses. Each carries the headers of the connection.

use std::str::FromStr;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use spark_connect_proto::execute_plan_request::RequestOption;
use spark_connect_proto::execute_plan_request::request_option;
use spark_connect_proto::interrupt_request::{Interrupt, InterruptType};
use spark_connect_proto::release_execute_request::{Release, ReleaseAll};
use spark_connect_proto::spark_connect_service_client::SparkConnectServiceClient;
use spark_connect_proto::{
    ExecutePlanRequest, ExecutePlanResponse, InterruptRequest, Plan, ReattachExecuteRequest, ReattachOptions,
    ReleaseExecuteRequest, ReleaseSessionRequest, UserContext,
};
use tokio::runtime::Handle;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{self, Channel};
use tonic::{Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

use crate::spark::endpoint::Endpoint;
use crate::spark::heartbeat;
use crate::spark::tls::Trust;

/// Maximum size of a received message, in bytes. A server splits its answers into batches of a few MB.
const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;
/// Time limit for making the first connection, including TLS.
const FIRST_CONNECT_LIMIT: Duration = Duration::from_secs(4);
/// Time limit for making the connection again, including TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The operating system checks after this time whether a silent peer still exists, and gives it up after
/// [`KEEPALIVE_RETRIES`] checks without an answer.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// One session. A clone shares the session and the connection.
#[derive(Clone)]
pub struct Client {
    service: SparkConnectServiceClient<Channel>,
    transport: transport::Endpoint,
    /// `None` if the connection is in clear text.
    trust: Option<Trust>,
    headers: MetadataMap,
    user: UserContext,
    session_id: String,
}

impl Client {
    /// Connects to a server and creates a session. With TLS, the server's certificate is checked before anything is sent
    /// to it. The connection is served by `runtime`.
    pub fn connect(runtime: &Handle, endpoint: &Endpoint, trust: Option<Trust>, session_id: String) -> Result<Self> {
        let scheme = if endpoint.tls { "https" } else { "http" };
        let mut channel = Channel::from_shared(format!("{scheme}://{}", endpoint.authority))
            .context("the server's name is not a host name")?
            .connect_timeout(CONNECT_LIMIT)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .tcp_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .tcp_keepalive_retries(Some(KEEPALIVE_RETRIES));
        if let Some(trust) = &trust {
            let settings = trust.settings()?;
            channel = channel.tls_config(settings).with_context(|| trust.no_authorities())?;
        }
        let agent = format!("{} risk/{}", endpoint.user_agent, env!("CARGO_PKG_VERSION"));
        channel = channel
            .user_agent(agent.trim().to_owned())
            .context("the user_agent contains a character that an HTTP header cannot contain")?;
        let mut headers = MetadataMap::new();
        for (name, value) in &endpoint.headers {
            // Neither the text of a header nor the library's error is shown, because it may contain the token.
            let (Ok(key), Ok(value)) = (AsciiMetadataKey::from_str(name), AsciiMetadataValue::from_str(value)) else {
                bail!(
                    "a parameter of its address, or the token, contains a character that an HTTP header cannot contain"
                );
            };
            headers.insert(key, value);
        }
        let transport = channel.clone();
        let (sender, connected) = mpsc::channel();
        runtime.spawn(async move {
            let _ = sender.send(channel.connect().await); // fails only if the limit was reached
        });
        let channel = match (connected.recv_timeout(FIRST_CONNECT_LIMIT), &trust) {
            (Ok(Ok(channel)), _) => channel,
            (Ok(Err(error)), Some(trust)) => bail!(trust.failure(&error)),
            (Ok(Err(error)), None) => return Err(error.into()),
            (Err(_), _) => {
                let what = if endpoint.tls { "a TLS handshake" } else { "a connection" };
                bail!(
                    "the server accepts connections but did not finish {what} within {} s",
                    FIRST_CONNECT_LIMIT.as_secs()
                )
            }
        };
        let service = SparkConnectServiceClient::new(channel)
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE);
        let user = UserContext { user_id: endpoint.user_id.clone(), ..Default::default() };
        Ok(Self { service, transport, trust, headers, user, session_id })
    }

    /// Creates a new unique id for a session or an execution.
    pub fn new_id() -> String {
        Uuid::new_v4().to_string()
    }

    /// Replaces the session by a new one.
    pub fn renew(&mut self) {
        self.session_id = Self::new_id();
    }

    /// Starts the execution of a plan. The server keeps responses that the stream could not deliver until
    /// [`Client::release`].
    pub async fn execute(&self, plan: Plan, operation: &str) -> Result<Streaming<ExecutePlanResponse>, Status> {
        let reattachable = request_option::RequestOption::ReattachOptions(ReattachOptions { reattachable: true });
        let request = ExecutePlanRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user.clone()),
            operation_id: Some(operation.to_owned()),
            plan: Some(plan),
            request_options: vec![RequestOption { request_option: Some(reattachable) }],
            ..Default::default()
        };
        let response = self.service.clone().execute_plan(self.request(request)).await;
        Ok(response.map_err(|status| self.classified(status))?.into_inner())
    }

    /// Continues the answer of an execution after the response `last`, or from its beginning.
    pub async fn reattach(
        &self,
        operation: &str,
        last: Option<String>,
    ) -> Result<Streaming<ExecutePlanResponse>, Status> {
        let request = ReattachExecuteRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user.clone()),
            operation_id: operation.to_owned(),
            last_response_id: last,
            ..Default::default()
        };
        let response = self.service.clone().reattach_execute(self.request(request)).await;
        Ok(response.map_err(|status| self.classified(status))?.into_inner())
    }

    /// Releases an execution and the responses that the server keeps for it.
    pub async fn release(&self, operation: &str) -> Result<(), Status> {
        let request = ReleaseExecuteRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user.clone()),
            operation_id: operation.to_owned(),
            release: Some(Release::ReleaseAll(ReleaseAll {})),
            ..Default::default()
        };
        self.service.clone().release_execute(self.request(request)).await.map(drop)
    }

    /// Asks the server to stop an execution.
    pub async fn interrupt(&self, operation: &str) -> Result<(), Status> {
        let request = InterruptRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user.clone()),
            interrupt_type: InterruptType::OperationId.into(),
            interrupt: Some(Interrupt::OperationId(operation.to_owned())),
            ..Default::default()
        };
        self.service.clone().interrupt(self.request(request)).await.map(drop)
    }

    /// Ends the session and everything that runs in it.
    pub async fn release_session(&self) -> Result<(), Status> {
        let request = ReleaseSessionRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user.clone()),
            ..Default::default()
        };
        self.service.clone().release_session(self.request(request)).await.map(drop)
    }

    /// Creates a connection of its own on which the server is asked whether it is there.
    pub fn probe(&self) -> Probe {
        Probe { health: HealthClient::new(self.transport.connect_lazy()), headers: self.headers.clone() }
    }

    /// Turns the failure of a connection that was made again into an error that is not retried, if the server has become
    /// untrustworthy.
    fn classified(&self, status: Status) -> Status {
        match self.trust.as_ref().and_then(|trust| trust.refusal(&status)) {
            Some(why) => Status::unauthenticated(why),
            None => status,
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }
}

/// A connection for health checks.
pub struct Probe {
    health: HealthClient<Channel>,
    headers: MetadataMap,
}

impl Probe {
    /// Asks the server whether it is there. Any answer of the server is good, whatever it says.
    pub async fn ask(&mut self) -> Result<(), Status> {
        let mut request = Request::new(HealthCheckRequest::default());
        *request.metadata_mut() = self.headers.clone();
        match self.health.check(request).await {
            Err(status) if !heartbeat::is_answer(&status) => Err(status),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
