"""HTTP in. The order decides: fixed addresses stand before that of a station by its id, which is in `public`."""

from services.stations.api import figures, files, live, offices, page, public, riders, said

routers = (
    page.router,
    files.router,
    figures.router,
    riders.router,
    offices.router,
    live.router,
    said.router,
    public.router,
)
