// Runs the public suite against a cache and prints, as JSON, what the suite's own grader says of each test,
// and of the published results of other caches; and for how long this process got nowhere.
//   node cache_conformance.mjs FOLDER_OF_THE_SUITE URL_TO_ASK [PORT_OF_A_FORWARD_PROXY]
import { createRequire } from 'node:module'
import fs from 'node:fs'
import http from 'node:http'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const [folder, base, proxyPort] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.join(folder, file)))
const { default: suites } = await load('tests/index.mjs')
const { runTests, getResults } = await load('client/runner.mjs')
const { determineTestResult } = await load('lib/display.mjs')
const fetch = createRequire(path.join(path.resolve(folder), 'cli.mjs'))('node-fetch')

// Asks a forward proxy: the whole URL is the target. RFC 9112, 3.2.2
class Forward extends http.Agent {
  addRequest (request, options) {
    request.path = base + request.path
    super.addRequest(request, { ...options, host: '127.0.0.1', port: proxyPort })
  }
}
const agent = proxyPort && new Forward()
const ask = agent ? (url, init) => fetch(url, { ...init, agent }) : fetch

let standstill = 0
let before = performance.now()
const beat = setInterval(() => {
  const now = performance.now()
  standstill = Math.max(standstill, now - before)
  before = now
}, 50)
await runTests(suites, ask, false, base)
clearInterval(beat)
const results = getResults()
const verdicts = {}
for (const suite of suites) {
  for (const test of suite.tests) {
    if (test.browser_only) continue
    const detail = results[test.id] === true ? '' : String(results[test.id]?.[1])
    verdicts[test.id] = { kind: test.kind || 'required', passed: passes(test, results), detail }
  }
}

// What the suite's authors publish of other proxies, with the same tests and the same grader.
const { default: published } = await load('results/index.mjs')
const peers = {}
for (const peer of published.filter(one => one.type === 'rev-proxy')) {
  const theirs = JSON.parse(fs.readFileSync(path.join(folder, 'results', peer.file)))
  const count = { required: 0, optimal: 0, check: 0 }
  for (const suite of suites) {
    for (const test of suite.tests) {
      if (!test.browser_only && passes(test, theirs)) count[test.kind || 'required']++
    }
  }
  peers[`${peer.name} ${peer.version.split(/[-+]/)[0]}`] = count
}
console.log(JSON.stringify({ verdicts, peers, standstill: standstill / 1000 }))

function passes (test, results) {
  return ['✅', 'Y'].includes(determineTestResult(suites, test.id, results)[2])
}
