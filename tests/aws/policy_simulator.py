"""IAM's SimulatePrincipalPolicy, for moto: which actions the policies of a user or a role allow.

It decides as https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html says for one account's
policies: what nothing allows is denied, and a denial wins. Of conditions it knows StringEquals and StringLike. The answer has the
form of https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html, in pages of a few results.
"""
import fnmatch
import json
import xml.sax.saxutils

PAGE = 7


def listed(value):
    return value if isinstance(value, list) else [value]


def member_list(form, name):
    found = []
    while f"{name}.member.{len(found) + 1}" in form:
        found.append(form[f"{name}.member.{len(found) + 1}"][0])
    return found


def contexts(form):
    found = {}
    while (entry := f"ContextEntries.member.{len(found) + 1}") + ".ContextKeyName" in form:
        assert form[entry + ".ContextKeyType"] == ["string"]
        found[form[entry + ".ContextKeyName"][0]] = member_list(form, entry + ".ContextKeyValues")
    return found


def applies(statement, action, resource, context):
    if not any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(statement["Action"])):
        return False
    if not any(fnmatch.fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"])):
        return False
    for test, keys in statement.get("Condition", {}).items():
        equal = {"StringEquals": lambda value, wanted: value == wanted, "StringLike": fnmatch.fnmatchcase}[test]
        for key, wanted in keys.items():
            if not any(equal(value, one) for value in context.get(key, []) for one in listed(wanted)):
                return False
    return True


def decide(policies, action, resource, context):
    effects = {statement["Effect"] for policy in policies for statement in listed(policy["Statement"])
               if applies(statement, action, resource, context)}
    return "explicitDeny" if "Deny" in effects else "allowed" if effects else "implicitDeny"


def policies_of(backend, arn):
    """Those within the user or role, parsed; nothing when there is none of that name."""
    kind, _, path = arn.rpartition(":")[2].partition("/")
    name = path.rpartition("/")[2]
    if kind == "user":
        found = next((user for user in backend.users.values() if user.name == name), None)
    else:
        found = next((role for role in backend.roles.values() if role.arn == arn), None)
    if found is None:
        return None
    documents = found.policies.values()
    return [json.loads(one if isinstance(one, str) else one.document if hasattr(one, "document") else one["policy_document"]) for one in documents]


def answer(backend, form):
    policies = policies_of(backend, form["PolicySourceArn"][0])
    if policies is None:
        error = "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>No such entity</Message></Error></ErrorResponse>"
        return 404, {"status": 404}, error
    asked, context = member_list(form, "ResourceArns") or ["*"], contexts(form)
    results = [(action, resource, decide(policies, action, resource, context))
               for action in member_list(form, "ActionNames") for resource in asked]
    start = int(form.get("Marker", ["0"])[0])
    more = start + PAGE < len(results)
    members = "".join(f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{xml.sax.saxutils.escape(resource)}</EvalResourceName>"
                      f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/><MissingContextValues/></member>"
                      for action, resource, decision in results[start:start + PAGE])
    return (f"<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>{'true' if more else 'false'}</IsTruncated>"
            + (f"<Marker>{start + PAGE}</Marker>" if more else "") + f"<EvaluationResults>{members}</EvaluationResults>"
            "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>")
