"""Plans without sites, and the lab's two sites, as the other folders' tests have them."""

from tests.inventory.conftest import lab_pair as lab_pair
from tests.recovery.conftest import bell as bell
from tests.recovery.conftest import make_plan as make_plan
from tests.recovery.conftest import own_lab as own_lab
