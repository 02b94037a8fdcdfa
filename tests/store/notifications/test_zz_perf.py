import time, asyncio
from functools import partial
from services.notifications.usecases import telling
from shared.kit.ids import new_id
from shared.kit.work import Work
from tests.store.notifications.conftest import *
from tests.store.notifications.stage import *
async def test_perf(stage):
    for rows in (0, 150_000):
        if rows:
            async with stage.pool.acquire() as c:
                await c.execute("INSERT INTO messages SELECT gen_random_uuid(), uuidv7(), 'points','report_accepted','{\"amount\": 50, \"pending\": 100, \"grid_code\": \"330114001001001\"}', now() FROM generate_series(1,$1)", rows, timeout=300)
                await c.execute("ANALYZE messages") if False else None
        for n in (1, 200, 500):
            riders=[new_id() for _ in range(5000)]
            batches=[[moved(riders[(i*n+j)%5000]) for j in range(n)] for i in range(40)]
            async with stage.pool.acquire() as conn:
                cpu=wall=0.0
                for k,b in enumerate(batches):
                    if k==10: cpu=wall=0
                    w0=time.perf_counter(); c0=time.process_time()
                    async with conn.transaction():
                        await telling.tell_movements(stage.settings, Work(conn), b)
                    cpu+=time.process_time()-c0; wall+=time.perf_counter()-w0
                m=30*n
                print(f"rows={rows} batch={n}: python cpu {cpu/m*1e6:.1f} us/event, wall {wall/m*1e6:.1f} us/event")
        # opened cases
        batches=[[stepped("opened",[new_id()],level="routine") for _ in range(500)] for _ in range(20)]
        async with stage.pool.acquire() as conn:
            w0=time.perf_counter(); c0=time.process_time()
            for b in batches:
                async with conn.transaction():
                    await telling.tell_cases(stage.settings, Work(conn), b)
            print(f"rows={rows} case opened: cpu {(time.process_time()-c0)/1e4*1e6:.2f} wall {(time.perf_counter()-w0)/1e4*1e6:.2f} us/event")
