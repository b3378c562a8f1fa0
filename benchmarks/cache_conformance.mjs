// Runs the public suite on a cache and prints JSON: the verdict of the suite's grader on each test, the
// published results of other caches, and the longest time for which this process stood still.
//   node cache_conformance.mjs FILES_OF_THE_SUITE URL_TO_ASK [PORT_OF_A_FORWARD_PROXY]
// The first argument is JSON: the suite's tests, client and grader, its published results if there are any, and
// the folder in which its packages are found.
import { createRequire } from 'node:module'
import fs from 'node:fs'
import http from 'node:http'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const [files, base, proxyPort] = process.argv.slice(2)
const suite = JSON.parse(files)
const load = file => import(pathToFileURL(file))
const { default: suites } = await load(suite.tests)
const { runTests, getResults } = await load(suite.client)
const { determineTestResult } = await load(suite.grader)
const packages = createRequire(path.join(suite.packages, 'cli.mjs'))
const { default: fetch } = await load(packages.resolve('node-fetch'))

// For a forward proxy the request target is the whole URL (RFC 9112, 3.2.2).
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

// The results for other proxies that the suite's authors publish, with the same tests and the same grader.
const published = suite.published ? (await load(suite.published)).default : []
const peers = {}
for (const peer of published.filter(one => one.type === 'rev-proxy')) {
  const file = path.join(path.dirname(suite.published), peer.file)
  if (!fs.existsSync(file)) continue
  const theirs = JSON.parse(fs.readFileSync(file))
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
