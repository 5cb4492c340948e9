"""The API against its own description: whatever fits the schema is answered as described."""

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance


def test_answers_are_as_described(served) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.api)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 16
    for operation in operations:

        @settings(
            max_examples=12,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answers_as_described(case) -> None:
            headers = {"Authorization": f"Bearer {served.admin}"}
            # What makes text a batch script is more than a schema can say.
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        answers_as_described()
