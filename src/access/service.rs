//! What the service says of itself: where it is, how much it holds, and how much and how fast it may.
//!
//! The figures are those by which creations and requests are refused: the counts that a creation is decided on, and `[limits]`.
//! Nothing is switched on or bought here, so CreateService, and the family of product secrets, are refused once they are recorded.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::request::ServiceRequest;
use super::secrets::fields_of;
use crate::error::{ApiError, Code};
use crate::secret::lookup;
use keyward_audit::Changes;
use keyward_audit::store::{Snapshot, StoreError};
use serde_json::{Value, json};

/// InvalidType: the service can be used.
const NORMAL: u64 = 1;
/// PayModel of a service that nobody pays for by a date.
const PAY_MODEL: &str = "Postpaid_SSM";

/// Answers a question about the service.
pub(super) fn carry_out(
    gateway: &Gateway,
    snapshot: &dyn Snapshot,
    asked: ServiceRequest,
) -> Result<Carried, StoreError> {
    let answer = match asked {
        ServiceRequest::Regions => json!({"Regions": [gateway.region()]}),
        ServiceRequest::Products => json!({"Products": [], "TotalCount": 0}),
        ServiceRequest::Status => status(gateway, lookup::secrets_held(snapshot)?),
        ServiceRequest::Create => {
            let message = "the service is enabled in this account already; keyward.toml says what it may hold";
            return Ok(Carried::Failed(ApiError::new(Code::ServiceAlreadyEnabled, message)));
        }
    };
    Ok(Carried::Done(fields_of(answer), Changes::default()))
}

/// GetServiceStatus
fn status(gateway: &Gateway, held: u64) -> Value {
    json!({
        "ServiceEnabled": true,
        "InvalidType": NORMAL,
        "AccessKeyEscrowEnabled": false,
        "ExpireTime": "",
        "QPSLimit": gateway.account_requests_per_second(),
        "SecretLimit": gateway.secret_limits().secrets_max,
        "PayModel": PAY_MODEL,
        "RenewFlag": 0,
        "ResourceId": format!("ssm_{}", gateway.place().account),
        "TotalCount": held,
        "ResourceRegion": 0,
    })
}

/// What the family of product secrets comes to.
pub(super) fn without_products() -> Carried {
    let message = "this build has no product secrets (database accounts) and no rotation of them; DescribeSupportedProducts lists \
                   the products that it has, and there are none";
    Carried::Failed(ApiError::new(Code::UnsupportedOperation, message))
}
