-- The audit log as a table: one row an event, one typed column a field. Printed by `auditctl log sql --view`.
-- Fields: staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go
create view events as
select
  stageTimestamp as time,
  requestReceivedTimestamp as received,
  level, stage, auditID as audit_id, verb,
  requestURI as uri,
  split_part(requestURI, '?', 1) as path,
  "user".username as username,
  "user".groups as groups,
  impersonatedUser.username as acts_as,
  sourceIPs as source_ips,
  userAgent as agent,
  coalesce(objectRef.apiGroup, '') as api_group,
  objectRef.resource as resource,
  objectRef.subresource as subresource,
  objectRef.namespace as namespace,
  objectRef.name as name,
  responseStatus.code as code,
  responseStatus.reason as reason,
  responseStatus.message as message,
  date_diff('microsecond', requestReceivedTimestamp, stageTimestamp) / 1000.0 as milliseconds,
  annotations,
  requestObject as request_object,
  responseObject as response_object,
  filename as file
from read_json(
  {{files}},
  format = 'newline_delimited', ignore_errors = true, maximum_object_size = 104857600, filename = true,
  columns = {
    kind: 'VARCHAR', level: 'VARCHAR', auditID: 'VARCHAR', stage: 'VARCHAR', requestURI: 'VARCHAR', verb: 'VARCHAR',
    "user": 'STRUCT(username VARCHAR, groups VARCHAR[])', impersonatedUser: 'STRUCT(username VARCHAR, groups VARCHAR[])',
    sourceIPs: 'VARCHAR[]', userAgent: 'VARCHAR',
    objectRef: 'STRUCT(resource VARCHAR, namespace VARCHAR, name VARCHAR, apiGroup VARCHAR, subresource VARCHAR)',
    responseStatus: 'STRUCT(code INTEGER, reason VARCHAR, message VARCHAR)',
    requestObject: 'JSON', responseObject: 'JSON',
    requestReceivedTimestamp: 'TIMESTAMP', stageTimestamp: 'TIMESTAMP', annotations: 'MAP(VARCHAR, VARCHAR)'
  }
)
where kind = 'Event' and auditID is not null;
