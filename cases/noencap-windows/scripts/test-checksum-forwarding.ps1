# Disable cksum offload on uplink interface
Disable-NetAdapterChecksumOffload -Name "Ethernet0 2" -TcpIPv4
Disable-NetAdapterChecksumOffload -Name "Ethernet0 2" -IPIPv4

#Disable-NetAdapterChecksumOffload -Name Ethernet0 -TcpIPv4
#Disable-NetAdapterChecksumOffload -Name Ethernet0 -IPIPv4

# Disable cksum offload on antrea interfaces: br-int && antrea-gw0
Disable-NetAdapterChecksumOffload -Name br-int -IPIPv4
Disable-NetAdapterChecksumOffload -Name br-int -TcpIPv4
Disable-NetAdapterChecksumOffload -Name antrea-gw0 -IPIPv4
Disable-NetAdapterChecksumOffload -Name antrea-gw0 -TcpIPv4

# Enable IP forwarding on br-int
Set-NetIPInterface -InterfaceAlias br-int -Forwarding enabled
Get-NetIPInterface -InterfaceAlias br-int | Select-Object -Property forwarding

# Disable cksum offload on container interfaces
Disable-NetAdapterChecksumOffload -Name "vEthernet (winpy-7b-5dbc7f)" -IPIPv4
Disable-NetAdapterChecksumOffload -Name "vEthernet (winpy-7b-5dbc7f)" -TcpIPv4

# For reply pkts of service endpoint, add flow to let the pkts be forwarded to br-int firstly.
ovs-ofctl add-flow br-int "table=31,cookie=$TestCookie,priority=220,ip,reg0=0x4/0xfff,nw_dst=192.168.187.0/24,ct_state=-new+trk actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"
# ovs-ofctl add-flow br-int "table=5,cookie=$TestCookie,priority=210,ip,reg0=0x4/0xfff,nw_dst=192.168.187.0/24 actions=LOCAL"
# ovs-ofctl del-flows br-int "table=5,cookie=$TestCookie/-1"
