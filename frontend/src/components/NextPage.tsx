import { Button, Flex } from "@patternfly/react-core";
import { useNavigate, useSearchParams } from "react-router";

/** Server cursor paging: onward by the cursor in the address, back by the browser's history. */
export function NextPage({ next, name = "cursor" }: { next: string | number | null; name?: string }) {
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const later = params.get(name) !== null;
  if (next === null && !later) return null;
  return (
    <Flex justifyContent={{ default: "justifyContentFlexEnd" }}>
      <Button variant="secondary" isDisabled={!later} onClick={() => void navigate(-1)}>
        Previous page
      </Button>
      <Button
        variant="secondary"
        isDisabled={next === null}
        onClick={() =>
          setParams((was) => {
            const now = new URLSearchParams(was);
            now.set(name, String(next));
            return now;
          })
        }
      >
        Next page
      </Button>
    </Flex>
  );
}
