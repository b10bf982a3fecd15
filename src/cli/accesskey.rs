//! `keyward accesskey ...`: the access keys of a principal, for clients that sign their requests.

use super::client::Client;
use super::output::Column;
use super::{Context, Failure, output};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(super) enum AccessKey {
    /// Make an access key; its secret is shown this once
    #[command(after_help = "Examples:
  keyward accesskey create
  keyward accesskey create --principal user/corp/svc-billing
  keyward --output json accesskey create >key.json

A principal has at most two, so that one can be replaced while the other is used. What is signed by a key has the rights that the
policy folder gives its principal; groups and roles of the token that made it only restrict.")]
    Create {
        /// Whose, if not your own: user/ISSUER/SUB
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
    },
    /// List access keys, without their secrets
    #[command(after_help = "Examples:
  keyward accesskey list
  keyward accesskey list --principal user/corp/svc-billing")]
    List {
        /// Whose, if not your own: user/ISSUER/SUB
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
    },
    /// Switch an access key on again
    #[command(after_help = "Examples:
  keyward accesskey enable AKIDexample000000000000000000001")]
    Enable {
        /// The access key's id
        #[arg(value_name = "ID")]
        id: String,
        /// Whose, if not your own: user/ISSUER/SUB
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
    },
    /// Switch an access key off: nothing that it signs is taken from the next request on
    #[command(after_help = "Examples:
  keyward accesskey disable AKIDexample000000000000000000001")]
    Disable {
        /// The access key's id
        #[arg(value_name = "ID")]
        id: String,
        /// Whose, if not your own: user/ISSUER/SUB
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
    },
    /// Delete an access key
    #[command(after_help = "Examples:
  keyward accesskey delete AKIDexample000000000000000000001")]
    Delete {
        /// The access key's id
        #[arg(value_name = "ID")]
        id: String,
        /// Whose, if not your own: user/ISSUER/SUB
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
    },
}

impl AccessKey {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        match self {
            Self::Create { principal } => create(context, &client.call("CreateAccessKey", &of(principal, json!({})))?),
            Self::List { principal } => list(context, &client.call("ListAccessKeys", &of(principal, json!({})))?),
            Self::Enable { id, principal } => {
                let asked = of(principal, json!({"AccessKeyId": id, "Status": "Active"}));
                let answer = client.call("UpdateAccessKey", &asked)?;
                context.output.done(&answer, &format!("access key `{id}` is active"));
            }
            Self::Disable { id, principal } => {
                let asked = of(principal, json!({"AccessKeyId": id, "Status": "Inactive"}));
                let answer = client.call("UpdateAccessKey", &asked)?;
                context.output.done(&answer, &format!("access key `{id}` is inactive"));
            }
            Self::Delete { id, principal } => {
                let answer = client.call("DeleteAccessKey", &of(principal, json!({"AccessKeyId": id})))?;
                context.output.done(&answer, &format!("access key `{id}` is deleted"));
            }
        }
        Ok(())
    }
}

/// Parameters, with the principal if one is named.
fn of(principal: Option<String>, mut parameters: Value) -> Value {
    if let (Some(fields), Some(principal)) = (parameters.as_object_mut(), principal) {
        fields.insert("Principal".to_owned(), Value::from(principal));
    }
    parameters
}

/// The new key: for programs the answer, for people its fields, and that they see the secret once.
fn create(context: &Context, answer: &Value) {
    if context.output.is_json() {
        output::line(&answer.to_string());
        return;
    }
    let key = answer.get("AccessKey").cloned().unwrap_or_default();
    context.output.object(&key);
    context.output.say("keep the secret now: it is shown this once");
}

fn list(context: &Context, answer: &Value) {
    let rows = answer.get("AccessKeys").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [
        Column::name("access key", "/AccessKeyId"),
        Column::whole("status", "/Status"),
        Column::whole("created", "/CreateTime"),
    ];
    context.output.rows(&columns, &rows);
}
