//! Fixtures of the official conformance suite, which a production server must not offer: tools, resources and prompts with
//! prescribed answers, over the very transport and settings of `/mcp`. `scripts/interop-mcp.sh` runs the suite against it.
//!
//!     cargo run --example conformance        # prints the port it listens on

use std::borrow::Cow;
use std::error::Error;
use std::io::Write;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
    GetPromptResponse, InputRequiredResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// One red pixel, and a sound without samples.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
/// What a state ends with that was not changed on its way; a production server would sign it.
const SEAL: &str = "-whole";

const TOOLS: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

#[derive(Clone)]
struct Fixtures;

/// A result that is whole: 2026-07-28 wants it said, and the library leaves it out for older clients.
fn whole<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = "complete".into();
    made(value)
}

fn made<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

fn ask(message: &str, field: &str, kind: &str) -> Value {
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema":
        { "type": "object", "properties": { field: { "type": kind } }, "required": [field] } } })
}

fn sample(prompt: &str) -> Value {
    json!({ "method": "sampling/createMessage", "params": { "maxTokens": 100,
        "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }] } })
}

/// What a tool wants to know before it answers, by key; the state that comes back with the answers.
fn questions(name: &str, state: Option<&str>) -> Option<(Value, Option<String>)> {
    let sealed = |state: &str| Some(format!("{state}{SEAL}"));
    Some(match (name, state) {
        ("test_input_required_result_elicitation" | "test_streaming_elicitation", _) => {
            (json!({ "user_name": ask("What is your name?", "name", "string") }), None)
        }
        ("test_input_required_result_sampling", _) => {
            (json!({ "capital_question": sample("What is the capital of France?") }), None)
        }
        ("test_input_required_result_list_roots", _) => {
            (json!({ "client_roots": { "method": "roots/list", "params": {} } }), None)
        }
        ("test_input_required_result_request_state" | "test_input_required_result_tampered_state", _) => {
            (json!({ "confirm": ask("Please confirm", "ok", "boolean") }), sealed("state"))
        }
        ("test_input_required_result_multiple_inputs", _) => (
            json!({ "user_name": ask("What is your name?", "name", "string"),
                "greeting": sample("Generate a greeting"),
                "client_roots": { "method": "roots/list", "params": {} } }),
            sealed("several"),
        ),
        ("test_input_required_result_multi_round", None) => {
            (json!({ "step1": ask("Step 1: What is your name?", "name", "string") }), sealed("one"))
        }
        ("test_input_required_result_multi_round", _) => (
            json!({ "step2": ask("Step 2: What is your favorite color?", "color", "string") }),
            sealed("two"),
        ),
        _ => return None,
    })
}

fn required(questions: &Value, state: Option<String>) -> Result<InputRequiredResult, ErrorData> {
    let mut whole = json!({ "resultType": "input_required", "inputRequests": questions });
    if let Some(state) = state {
        whole["requestState"] = state.into();
    }
    made(whole)
}

/// A tool that needs answers: the next question, or what came of them.
fn rounds(request: &CallToolRequestParams) -> Result<Option<CallToolResponse>, ErrorData> {
    let name = request.name.as_ref();
    let state = request.request_state.as_deref();
    let Some((wanted, next)) = questions(name, state) else { return Ok(None) };
    if state.is_some_and(|state| !state.ends_with(SEAL)) {
        return Err(ErrorData::invalid_params("the state was changed on its way", None));
    }
    let given = request.input_responses.as_ref();
    let keys = wanted.as_object().into_iter().flatten().map(|(key, _)| key);
    let all = given.is_some_and(|given| keys.clone().all(|key| given.get(key).is_some_and(Value::is_object)));
    let again =
        name == "test_input_required_result_multi_round" && !state.is_some_and(|s| s.starts_with("two"));
    if !all || again {
        return Ok(Some(required(&wanted, next)?.into()));
    }
    let told = serde_json::to_string(&given).unwrap_or_default();
    let result = whole::<rmcp::model::CallToolResult>(text(&format!("state-ok, heard {told}")))?;
    Ok(Some(result.into()))
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_completions()
            .build();
        ServerConfig::new(capabilities)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&[
            ProtocolVersion::V_2025_06_18,
            ProtocolVersion::V_2025_11_25,
            ProtocolVersion::V_2026_07_28,
        ])
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &&str| json!({ "name": name, "description": "A fixture.", "inputSchema": { "type": "object" } });
        Ok(ListToolsResult::with_all_items(made(TOOLS.iter().map(tool).collect())?))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(response) = rounds(&request)? {
            return Ok(response);
        }
        let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
        let embedded = |uri: &str, kind: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "text": text } });
        let result = match request.name.as_ref() {
            "test_simple_text" => text("This is a simple text response for testing."),
            "test_image_content" => json!({ "content": [image] }),
            "test_audio_content" => {
                json!({ "content": [{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }] })
            }
            "test_embedded_resource" => {
                json!({ "content": [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")] })
            }
            "test_multiple_content_types" => {
                json!({ "content": [{ "type": "text", "text": "Multiple content types test:" }, image,
                embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#)] })
            }
            "test_error_handling" => {
                json!({ "isError": true, "content": [{ "type": "text", "text": "This tool intentionally returns an error for testing" }] })
            }
            "test_tool_with_progress" => {
                if let Some(token) = context.meta.get_progress_token() {
                    for percent in [0.0, 50.0, 100.0] {
                        let note = ProgressNotificationParam::new(token.clone(), percent).with_total(100.0);
                        drop(context.peer.notify_progress(note).await);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                text("done")
            }
            "test_logging_tool" => text("nothing is logged to the client"),
            "test_missing_capability" => {
                if context.client_capabilities().is_none_or(|client| client.sampling.is_none()) {
                    let data = json!({ "requiredCapabilities": { "sampling": {} } });
                    let code = rmcp::model::ErrorCode(-32021);
                    return Err(ErrorData::new(code, "the client does not declare sampling", Some(data)));
                }
                text("the client samples")
            }
            "test_input_required_result_capabilities" => {
                let client = context.client_capabilities().unwrap_or_default();
                let mut wanted = serde_json::Map::new();
                if client.sampling.is_some() {
                    wanted.insert("sampled".to_owned(), sample("Say something"));
                }
                if client.elicitation.is_some() {
                    wanted.insert("asked".to_owned(), ask("What is your name?", "name", "string"));
                }
                if request.input_responses.is_none() && !wanted.is_empty() {
                    return Ok(required(&Value::Object(wanted), None)?.into());
                }
                text("asked for no more than the client can do")
            }
            other => return Err(ErrorData::invalid_params(format!("there is no tool `{other}`"), None)),
        };
        Ok(whole::<rmcp::model::CallToolResult>(result)?.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(made(json!([
            { "uri": "test://static-text", "name": "text", "mimeType": "text/plain" },
            { "uri": "test://static-binary", "name": "binary", "mimeType": "image/png" },
        ]))?))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = json!([{ "uriTemplate": "test://template/{id}/data", "name": "data", "mimeType": "application/json" }]);
        Ok(ListResourceTemplatesResult::with_all_items(made(template)?))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (uri, id) {
            ("test://static-text", _) => {
                json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." })
            }
            ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
            (_, Some(id)) => {
                let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                json!({ "uri": uri, "mimeType": "application/json", "text": data.to_string() })
            }
            _ => return Err(ErrorData::resource_not_found("there is no such resource", None)),
        };
        Ok(whole::<rmcp::model::ReadResourceResult>(json!({ "contents": [contents] }))?.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(made(json!([
            { "name": "test_simple_prompt" },
            { "name": "test_prompt_with_arguments", "arguments": [{ "name": "arg1", "required": true }, { "name": "arg2", "required": true }] },
            { "name": "test_prompt_with_embedded_resource", "arguments": [{ "name": "resourceUri", "required": true }] },
            { "name": "test_prompt_with_image" },
            { "name": "test_input_required_result_prompt" },
        ]))?))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let given = |name: &str| {
            let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
            value
                .and_then(|value| serde_json::to_value(value).ok())
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default()
        };
        let says = |text: &str| json!({ "role": "user", "content": { "type": "text", "text": text } });
        let messages = match request.name.as_str() {
            "test_simple_prompt" => json!([says("This is a simple prompt for testing.")]),
            "test_prompt_with_arguments" => {
                json!([says(&format!(
                    "Prompt with arguments: arg1='{}', arg2='{}'",
                    given("arg1"),
                    given("arg2")
                ))])
            }
            "test_prompt_with_embedded_resource" => json!([
                { "role": "user", "content": { "type": "resource", "resource":
                    { "uri": given("resourceUri"), "mimeType": "text/plain", "text": "Embedded resource content for testing." } } },
                says("Please process the embedded resource above."),
            ]),
            "test_prompt_with_image" => json!([
                { "role": "user", "content": { "type": "image", "data": PNG, "mimeType": "image/png" } },
                says("Please analyze the image above."),
            ]),
            "test_input_required_result_prompt" => match &request.input_responses {
                None => {
                    let question = ask("What context should the prompt use?", "context", "string");
                    return Ok(required(&json!({ "user_context": question }), None)?.into());
                }
                Some(_) => json!([says("The context was given.")]),
            },
            other => return Err(ErrorData::invalid_params(format!("there is no prompt `{other}`"), None)),
        };
        Ok(whole::<rmcp::model::GetPromptResult>(json!({ "messages": messages }))?.into())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        whole(json!({ "completion": { "values": ["paris", "park", "party"], "total": 3, "hasMore": false } }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    let service = univrs_mcp::service_of(Fixtures, CancellationToken::new());
    let app = axum::Router::new().route_service("/mcp", service).layer(axum::middleware::from_fn(here_only));
    axum::serve(listener, app).await?;
    Ok(())
}

/// The daemon's own check of `Host` and `Origin` stands before `/mcp`; here a short form of it does.
async fn here_only(request: Request, next: Next) -> Response {
    if request.headers().iter().all(|(name, value)| is_ours(name.as_str(), value.to_str().unwrap_or("?"))) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

fn is_ours(header: &str, text: &str) -> bool {
    !matches!(header, "host" | "origin") || text.contains("127.0.0.1") || text.contains("localhost")
}
